# `make stage promote deploy` deploy no unsigned image, if `[signing] required = true`.
SIGNED := $(shell sed -n '/^\[signing\]/,/^\[/s/^required = //p' config/signing.toml)
ifeq ($(SIGNED),true)
BUILD_ARGS += --build-arg PACKAGES=openssh-client
endif

.PHONY: sign-image attested

sign-image: $(if $(OVERLAYS),packed,image) ## [COMMIT=…] [KEY=…]: sign the image of a commit, by its digest
	@$(LADDER) sign-image $(or $(PACKED),$(IMAGE)) $(SHA)

attested: ## list the signers of the images in staging and production; fail without a signature
	@$(LADDER) attested
