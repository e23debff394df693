.PHONY: owners owned

owners: ## who owns each file, by CODEOWNERS; fails where a file has nobody
	@$(LADDER) owners --list

check: owned # its recipe is under Checks

owned:
	@$(LADDER) owners
