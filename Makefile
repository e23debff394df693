# The tasks of the template: `make help` lists them.
.DEFAULT_GOAL := help
BIN := $(CURDIR)/.venv/bin
UV ?= $(shell command -v uv || echo $(BIN)/uv)
export PATH := $(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE # where an image sets it, each start compiles all libraries anew
OUT ?= ..

.PHONY: help setup wheel dist demo new adopt maturity warm test test-systems test-all test-fast check locks docs

help: ## list the tasks
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{ printf "  make %-10s %s\n", $$1, $$2 }'

setup: $(BIN)/.ready ## install what the template's tasks need into .venv; uv too where it is missing

$(BIN)/.ready: pyproject.toml uv.lock
	@command -v $(UV) > /dev/null || { echo "Installing uv into .venv ..."; python3 -m venv .venv && $(BIN)/python -m pip install --quiet 'uv>=0.9,<1'; }
	@echo "Installing the template's tools into .venv ..."; $(UV) sync --quiet --locked
	@touch $@

demo: setup ## in demo/: train, gate, serve, predict, roll back at level 2; the loop of level 4, simulated
	@$(BIN)/python dev/demo.py

new: setup ## [OUT=folder]: ask the questions and generate a project (default: beside this folder)
	@$(BIN)/cookiecutter . --output-dir "$(OUT)"

adopt: setup ## REPO=folder [CAPABILITIES="…" | LEVEL=n] [CI=…] [BRANCH=…] [FORMAT=yes] [TRY=yes] [YES=yes]: hooks and CI for a repository of yours
	@$(BIN)/python -m mlops_ladder.template_cli adopt "$${REPO:?name the repository: REPO=folder}" $(CAPABILITIES) \
	$(if $(LEVEL),--level $(LEVEL)) $(if $(CI),--ci $(CI)) $(if $(BRANCH),--branch "$$BRANCH") $(if $(FORMAT),--format) $(if $(TRY),--try) $(if $(YES),--yes)

maturity: setup ## REPO=folder [ARGS=--markdown]: the level of any repository, from evidence
	@$(BIN)/ladder maturity "$${REPO:?name the repository: REPO=folder}" $(ARGS)

# File by file, the longest first: a file shares its environments and trainings.
TESTS = $(BIN)/pytest -n 2 --no-loadscope-reorder --durations 10

warm: setup ## compile the tests' dependencies once; each lane does it first
	@$(BIN)/python tests/warm.py

test: warm ## the library, the template and levels 0 to 2: needs Python, git and make
	@$(TESTS) -m "not systems and not long"

test-systems: warm ## images, pods, forges, databases, Prometheus, Terraform, and what takes long; Debian, root
	@$(TESTS) -m "systems or long"

test-all: warm ## both, with every file and fault of which they draw some; two hours
	@DRAW=all $(TESTS)

test-fast: setup ## the tests of the inner loop, a minute or so
	@$(BIN)/pytest -n 2 -m "not slow"

check: setup ## black, pylint and mypy on the template's own code
	@$(BIN)/black --check --quiet . && $(BIN)/pylint --jobs 2 --disable=R0801 local_extensions.py dev src/mlops_ladder \
	&& $(BIN)/pylint --disable=R0801,R0902,E0401 benchmarks \
	&& $(BIN)/pylint --jobs 2 --disable=C,R,W0613,W0621 tests && $(BIN)/mypy

wheel: setup ## build the library into the wheel that projects bring
	@rm -rf build/wheel && $(UV) build --quiet --wheel --out-dir build/wheel src && cp build/wheel/*.whl "{{cookiecutter.project_slug}}/wheels/"

dist: setup ## build wheel and source for a package index into build/dist: the version without its local label
	@rm -rf build/dist build/source && mkdir -p build && cp -RL src build/source && cp LICENSE build/source/ \
	&& sed 's/^\(version = "[0-9.]*\)+ladder"/\1"/; s/^license = .*/&\nlicense-files = ["LICENSE"]/' src/pyproject.toml > build/source/pyproject.toml \
	&& $(UV) build --quiet --out-dir build/dist build/source

locks: setup ## [UPGRADE=yes]: renew the locks that projects get
	@UV=$(UV) $(BIN)/python dev/lock.py $(if $(UPGRADE),--upgrade)

docs: setup ## renew what is generated: golden trees, table of levels, docs/levels.md, docs/maturity.md
	@$(BIN)/python dev/trees.py > /dev/null && $(BIN)/python dev/levels.py
