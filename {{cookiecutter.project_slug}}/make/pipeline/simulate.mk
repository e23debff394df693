.PHONY: simulate

simulate: setup ## [SCENARIO=name] [SEED=1]: data shift, drift, retraining, gate, rollout: the whole loop in a temporary folder
	@$(RUN) simulate $(if $(SCENARIO),--scenario "$$SCENARIO") $(if $(SEED),--seed $(SEED))
