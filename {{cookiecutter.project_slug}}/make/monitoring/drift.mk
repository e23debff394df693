.PHONY: drift

drift: setup ## [FAIL=yes]: have the logged inputs drifted from those of the training?
	@$(RUN) drift $(if $(FAIL),--fail)
