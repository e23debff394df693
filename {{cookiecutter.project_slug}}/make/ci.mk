# What CI asks for beyond the targets of a working day.
export PYTEST_ADDOPTS += --junitxml=reports/tests.xml

ARCHIVE ?= build/image.tar

.PHONY: test-counts rehearse save-image load-image

test-counts: ## how many tests passed in each group; fails where none did
	@python3 tools/count_tests.py

rehearse: ## the whole pipeline with two trials of the search, as CI runs it
	@{{ cookiecutter.package_name | upper }}_TUNING__TRIALS=2 $(MAKE) --no-print-directory pipeline

save-image: image ## [ARCHIVE=file]: write the image of the commit to a file
	@mkdir -p $(dir $(ARCHIVE)) && docker save --output $(ARCHIVE) $(IMAGE)

load-image: ## [ARCHIVE=file]: bring an image back from a file
	@docker load --quiet --input $(ARCHIVE)
