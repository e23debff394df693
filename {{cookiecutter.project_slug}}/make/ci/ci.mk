# What CI asks for beyond the targets of a working day.
export PYTEST_ADDOPTS += --junitxml=reports/tests.xml

ARCHIVE ?= build/image.tar

.PHONY: ci-at-top test-counts pipeline-smoke smoke save-image load-image maturity-report

ci-at-top: ## in a folder of a larger repository: write workflows and hooks to the top of that
	@$(LADDER) ci-at-top

test-counts: ## how many tests passed in each group; fails where none did
	@$(LADDER) test-counts

pipeline-smoke: ## the whole pipeline with two trials of the search, as CI runs it
	@{{ cookiecutter.package_name | upper }}_TUNING__TRIALS=2 $(MAKE) --no-print-directory pipeline

smoke: image ## start the image with the champion of models/serving, and ask it for a prediction
	@id=$$(docker run --detach --volume "$(CURDIR)/models/serving:/app/models/serving:ro" $(IMAGE)) && trap "docker rm --force $$id > /dev/null" EXIT; \
	ask() { docker exec $$id python -m mlops_ladder.delivery.smoke http://127.0.0.1:8000 $(SHA); }; \
	for second in $$(seq 60); do ask > /dev/null 2>&1 && break; sleep 1; done; ask || { docker logs $$id; exit 1; }

save-image: image ## [ARCHIVE=file]: write the image of the commit to a file
	@mkdir -p $(dir $(ARCHIVE)) && docker save --output $(ARCHIVE) $(IMAGE)

load-image: ## [ARCHIVE=file]: bring an image back from a file
	@docker load --quiet --input $(ARCHIVE)

maturity-report: ## the level from evidence, as reports/maturity.md; fails below the one of pyproject.toml
	@$(MAKE) --silent maturity ARGS="--markdown --out reports/maturity.md"; code=$$?; \
	[ -z "$$CI_MERGE_REQUEST_IID" ] || $(MAKE) --silent comment PULL="$$CI_MERGE_REQUEST_IID"; exit $$code
