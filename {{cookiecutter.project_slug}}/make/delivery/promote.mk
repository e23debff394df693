# An image is tried in staging, and only then, the same bytes, brought to production.
DEPLOY = $(LADDER) stage $(or $(PACKED),$(IMAGE)) $(SHA) && $(LADDER) promote
OVERLAYS := $(if $(wildcard deploy/kubernetes/overlays),overlays)

.PHONY: stage promote unstage

deploy stage promote: $(OVERLAYS)

stage: $(if $(OVERLAYS),packed,image) ## [COMMIT=…]: bring the image of a commit to staging
	@$(LADDER) stage $(or $(PACKED),$(IMAGE)) $(SHA)

promote: ## bring the image that staging runs to production, if it passes the smoke test there
	@$(LADDER) promote

unstage: ## stop staging
	@$(LADDER) unstage
