# An image is built once, from a commit and not from the folder, and has the commit's name.
COMMIT ?= HEAD
SHA = $(shell git rev-parse --verify --quiet '$(COMMIT)^{commit}')
TAG = $(shell echo $(SHA) | cut -c 1-12)$(if $(filter yes,$(NATIVE)),-native)
IMAGE = $(REGISTRY){{ cookiecutter.package_name | replace('_', '-') | trim('-') }}:$(TAG)
BUILD = docker build --build-arg COMMIT=$(SHA) --build-arg NATIVE --build-arg PIP_INDEX_URL $(BUILD_ARGS)
BUILT_FROM = Dockerfile LICENSE README.md config config.toml contract.toml pyproject.toml src uv.lock wheels
export NATIVE

.PHONY: committed notes

committed:
	@test -n "$(SHA)" || { echo "COMMIT=$(COMMIT): no such commit; to see them: git log --oneline"; exit 1; }
	@git status --porcelain -- $(BUILT_FROM) | sed 's/^/Not in the image, for it is not committed: /'

notes: ## [COMMIT=…]: what changed since the tag before
	@git log -1 --format="## $$(git describe --tags --always $(SHA)), %cs" $(SHA)
	@git log --no-merges --format='- %s (%h)' $$(git describe --tags --abbrev=0 $(SHA)^ 2> /dev/null | sed 's/$$/../')$(SHA)
