.PHONY: serve openapi

# What `make serve` runs; another part, or a file in make/, may set another.
SERVE_APP ?= $(RUN) serve

serve: setup ## serve the champion: http://127.0.0.1:8000/docs
	@$(SERVE_APP)

openapi: setup ## write docs/openapi.json: what the API takes and answers
	@$(RUN) serve --openapi
