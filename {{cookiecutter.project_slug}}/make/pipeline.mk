.PHONY: pipeline

pipeline: setup ## search, train, judge, register: the flow from the rows to a champion
	@$(RUN) pipeline
