# What CI asks for beyond the targets of a working day.
export PYTEST_ADDOPTS += --junitxml=reports/tests.xml

.PHONY: test-counts rehearse

test-counts: ## how many tests passed in each group; fails where none did
	@python3 tools/count_tests.py

rehearse: ## the whole pipeline with two trials of the search, as CI runs it
	@{{ cookiecutter.package_name | upper }}_TUNING__TRIALS=2 $(MAKE) --no-print-directory pipeline
