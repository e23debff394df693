.PHONY: staleness

staleness: setup ## [FAIL=yes]: derive from the data at which age the model is too old
	@$(RUN) staleness $(if $(FAIL),--fail)
