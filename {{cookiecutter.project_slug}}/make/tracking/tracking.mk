.PHONY: ui card

ui: setup ## open MLflow on the recorded runs: http://127.0.0.1:5000
	@$(BIN)/python -c 'from mlops_ladder.tracking.runs import connect_mlflow; connect_mlflow()'
	@MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db

card: setup ## [CHECK=yes]: write MODEL_CARD.md from the champion's run, or only check it
	@$(RUN) card $(if $(CHECK),--check)
