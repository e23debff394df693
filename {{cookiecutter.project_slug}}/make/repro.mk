.PHONY: repro

repro: setup ## train twice in new processes, compare all predictions
	@$(BIN)/python tools/repro.py
