PYTHON ?= $(or $(wildcard $(BIN)/python),python3)

.PHONY: owners owned

owners: ## who owns each file, by CODEOWNERS; fails where a file has nobody
	@$(PYTHON) tools/owners.py --list

check: owned # the recipe of `check` is in checks.mk

owned:
	@$(PYTHON) tools/owners.py
