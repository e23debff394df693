.PHONY: features

features: setup ## what each feature of the champion is worth, and what it costs
	@$(RUN) features
