.PHONY: check test

# Else setup puts an edited lock right before it is looked at.
check: export UV_LOCKED = 1
check: setup ## formatting, lint, types, the lock, the model card: all that needs no training
	@$(FITS) || $(UV) lock --quiet --check || { echo "uv.lock does not fit pyproject.toml; run: uv lock"; exit 1; }
	@sed 's|uv run|& --project ./$(INSIDE)|' .pre-commit-config.yaml > $(BIN)/hooks.yaml # they run at the top of the repository
	@git ls-files -z | PYLINTRC="$(CURDIR)/pyproject.toml" xargs -0 $(UV) run --frozen --quiet pre-commit run --config $(BIN)/hooks.yaml --files
	@$(BIN)/mypy && $(RUN) card --check

# In the order of the files, which begins with the longest; each process trains a model of its own.
test: setup ## the tests of data, code and model, on several cores
	@OMP_WAIT_POLICY=passive $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
