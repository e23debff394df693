.PHONY: contracts promises

contracts: setup ## [ACCEPT=source BY=name]: are the data what their owners promised?  Tells who is named where not
	@$(RUN) contracts $(if $(ACCEPT),--accept "$(ACCEPT)" --by "$(BY)")

check: promises # the recipe of `check` is in checks.mk

promises: setup
	@$(RUN) contracts --check
