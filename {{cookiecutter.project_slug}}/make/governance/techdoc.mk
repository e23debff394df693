.PHONY: techdoc techdoc-checked

techdoc: setup ## [CHECK=yes]: write TECHNICAL.md from evidence, or only check it
	@$(RUN) techdoc $(if $(CHECK),--check)

check: techdoc-checked # its recipe is under Checks

techdoc-checked: setup
	@$(RUN) techdoc --check
