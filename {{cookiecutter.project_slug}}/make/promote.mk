# An image is tried in staging, and only then, the same bytes, brought to production.
PYTHON ?= $(or $(wildcard $(BIN)/python),python3)
PROMOTE = $(PYTHON) tools/promote.py
DEPLOY = $(PROMOTE) stage $(or $(PACKED),$(IMAGE)) $(SHA) && $(PROMOTE) promote
OVERLAYS := $(wildcard overlays)

.PHONY: stage promote unstage

deploy stage promote: $(OVERLAYS)

stage: $(if $(OVERLAYS),packed,image) ## [COMMIT=…]: bring the image of a commit to staging
	@$(PROMOTE) stage $(or $(PACKED),$(IMAGE)) $(SHA)

promote: ## bring the image that staging runs to production, if it passes the smoke test there
	@$(PROMOTE) promote

unstage: ## stop staging
	@$(PROMOTE) unstage
