# `make stage promote deploy` deploy no unsigned image, if `[signing] required = true`.
SIGNED := $(shell sed -n '/^\[signing\]/,/^\[/s/^required = //p' config/signing.toml)
ifeq ($(SIGNED),true)
BUILD_ARGS += --build-arg PACKAGES=openssh-client
endif
ifdef KEY
export {{ cookiecutter.package_name | upper }}_SIGNING__KEY := $(KEY)
endif

.PHONY: sign sign-image attested sbom pinned

sign: setup ## VERSION=n [KEY=…]: sign the model of an accepted version; if it waited for that, it becomes champion
	@$(RUN) sign --version "$(VERSION)"

sign-image: $(if $(OVERLAYS),packed,image) ## [COMMIT=…] [KEY=…]: sign the image of a commit, by its digest
	@$(LADDER) sign-image $(or $(PACKED),$(IMAGE)) $(SHA)

attested: ## list the signers of the images in staging and production; fail without a signature
	@$(LADDER) attested

sbom: setup ## write reports/sbom.json: libraries, model and data of the champion, as CycloneDX
	@$(RUN) sbom

check: pinned # its recipe is under Checks

pinned:
	@$(LADDER) pinned
