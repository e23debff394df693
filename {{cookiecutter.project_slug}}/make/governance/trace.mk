.PHONY: trace

trace: setup ## PREDICTION=request: version, gate, run, commit, data, lock and image behind a logged prediction
	@$(RUN) trace -- "$$PREDICTION"
