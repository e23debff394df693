.PHONY: contracts promises

contracts: setup ## [ACCEPT=source BY=name]: are the data what their owners promised?  Tells who is named where not
	@$(RUN) contracts $(if $(ACCEPT),--accept "$(ACCEPT)" --by "$(BY)")

check: promises # its recipe is under Checks

promises: setup
	@$(RUN) contracts --check
