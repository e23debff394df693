.PHONY: site

site: setup ## [OPEN=yes]: the documentation with search, in build/site; OPEN serves it at http://127.0.0.1:8001
	@NO_MKDOCS_2_WARNING=true DISABLE_MKDOCS_2_WARNING=true $(RUN) site
	@$(if $(OPEN),$(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site 8001)
