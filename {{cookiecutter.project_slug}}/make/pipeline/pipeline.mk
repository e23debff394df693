.PHONY: pipeline reproduce

pipeline: setup ## search, train, evaluate, register: the flow from the rows to a champion
	@$(RUN) pipeline

reproduce: setup ## train twice in new processes, compare all predictions
	@$(RUN) reproduce
