.PHONY: datasheet datasheet-checked

datasheet: setup ## [CHECK=yes]: write DATASHEET.md from the data, or only check it
	@$(RUN) datasheet $(if $(CHECK),--check)

check: datasheet-checked # its recipe is under Checks

datasheet-checked: setup
	@$(RUN) datasheet --check
