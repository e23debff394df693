.PHONY: check test

check: setup ## formatting, lint, types, the lock, the model card: all that needs no training
	@$(UV) lock --quiet --check || { echo "uv.lock does not fit pyproject.toml; run: uv lock"; exit 1; }
	@$(BIN)/pre-commit run --all-files
	@$(BIN)/mypy && $(RUN) card --check

test: setup ## the tests of data, code and model
	@OMP_WAIT_POLICY=passive $(BIN)/pytest
