.PHONY: pipeline repro

pipeline: setup ## search, train, judge, register: the flow from the rows to a champion
	@$(RUN) pipeline

repro: setup ## train twice in new processes, compare all predictions
	@$(RUN) reproduce
