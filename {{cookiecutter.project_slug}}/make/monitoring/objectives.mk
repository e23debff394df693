.PHONY: objectives costs

objectives: setup ## write monitoring/slo_rules.yml anew from config/objectives.toml
	@$(RUN) objectives

costs: setup ## what 1,000 predictions and a training cost
	@$(RUN) costs
