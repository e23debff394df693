.PHONY: features

features: setup ## [SECONDS=600]: what each feature of the champion is worth, and what it costs
	@$(RUN) features $(if $(SECONDS),--seconds "$$SECONDS")
