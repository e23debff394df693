# What CI asks for beyond the targets of a working day.
export PYTEST_ADDOPTS += --junitxml=reports/tests.xml

.PHONY: ci-at-top test-counts pipeline-smoke maturity-report

ci-at-top: ## in a folder of a larger repository: write workflows and hooks to the top of that
	@$(LADDER) ci-at-top

test-counts: ## how many tests passed in each group; fails where none did
	@$(LADDER) test-counts

pipeline-smoke: ## the whole pipeline with two trials of the search, as CI runs it
	@{{ cookiecutter.package_name | upper }}_TUNING__TRIALS=2 $(MAKE) --no-print-directory pipeline

maturity-report: ## the level from evidence, as reports/maturity.md; fails below the one of pyproject.toml
	@$(MAKE) --silent maturity ARGS="--markdown --out reports/maturity.md"; code=$$?; \
	[ -z "$$CI_MERGE_REQUEST_IID" ] || $(MAKE) --silent comment PULL="$$CI_MERGE_REQUEST_IID"; exit $$code
