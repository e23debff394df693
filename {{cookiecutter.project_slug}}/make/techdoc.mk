.PHONY: techdoc techdoc-checked

techdoc: setup ## [CHECK=yes]: write TECHNICAL.md from evidence, or only check it
	@$(RUN) techdoc $(if $(CHECK),--check)

check: techdoc-checked # the recipe of `check` is in checks.mk

techdoc-checked: setup
	@$(RUN) techdoc --check
