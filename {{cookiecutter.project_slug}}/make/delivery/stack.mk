# The stack runs what an image holds that is built from the commit, as the service's is.
STACK = $(LADDER) stack
stack unstack backup recover: export COMPOSE_PROJECT_NAME ?= {{ cookiecutter.package_name | replace('_', '-') | trim('-') }}
stack stack-image backup recover: export STACK_IMAGE = $(IMAGE)-stack
stack: export HOME_DASHBOARD :={{ ' data' if cookiecutter.serve == 'batch' else '' }}

.PHONY: secrets stack stack-image unstack backup recover

secrets: ## write the secrets of the stack that are missing into deploy/stack/.env, at random
	@$(STACK) secrets

stack: stack-image ## start what the team shares: tracking, schedule, dashboards, alerts (docs/stack.md)
	@$(STACK) up

stack-image: committed
	@$(STACK) check && { docker image inspect $(STACK_IMAGE) > /dev/null 2>&1 \
	|| git archive $(SHA) | DOCKER_BUILDKIT=1 $(BUILD) $(BUILD_OPTIONS) --file deploy/stack/Dockerfile --tag $(STACK_IMAGE) -; }

unstack: ## stop the stack; what it keeps stays in its volumes
	@$(STACK) down

backup: ## keep runs, registry and artifacts as they are now, of this folder and of the stack, in backups/
	@$(LADDER) backup make

recover: ## FROM=backups/… [OVERWRITE=yes]: bring back what a backup holds
	@$(LADDER) backup restore "$(FROM)" $(if $(filter yes,$(OVERWRITE)),--overwrite)
