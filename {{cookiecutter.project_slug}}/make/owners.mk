.PHONY: owners owned

owners: ## who owns each file, by CODEOWNERS; fails where a file has nobody
	@$(LADDER) owners --list

check: owned # the recipe of `check` is in checks.mk

owned:
	@$(LADDER) owners
