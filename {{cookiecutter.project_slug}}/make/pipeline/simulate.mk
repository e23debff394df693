.PHONY: simulate

simulate: setup ## [SCENARIO=name] [SEED=1]: data shift, drift, retraining, gate, canary: the whole loop in a throw-away folder
	@$(RUN) simulate $(if $(SCENARIO),--scenario "$$SCENARIO") $(if $(SEED),--seed $(SEED))
