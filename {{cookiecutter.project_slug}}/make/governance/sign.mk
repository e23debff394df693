ifdef KEY
export {{ cookiecutter.package_name | upper }}_SIGNING__KEY := $(KEY)
endif

.PHONY: sign sbom pinned

sign: setup ## VERSION=n [KEY=…]: sign the model of an accepted version; if it waited for that, it becomes champion
	@$(RUN) sign --version "$(VERSION)"

sbom: setup ## write reports/sbom.json: libraries, model and data of the champion, as CycloneDX
	@$(RUN) sbom

check: pinned # its recipe is under Checks

pinned:
	@$(LADDER) pinned
