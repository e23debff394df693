# Without trivy on this machine it comes from its image.
TRIVY ?= $(shell command -v trivy || echo docker run --rm --volume "$(CURDIR)/deploy/infra:/project/deploy/infra:ro" --workdir /project aquasec/trivy:0.67.2)

.PHONY: infra policies scan provision unprovision

infra: ## format, validate and test deploy/infra/; needs terraform, and no account
	@$(LADDER) provision check

policies: ## plan staging and production without an account, and judge these plans
	@$(LADDER) provision judge

scan: ## look with a scanner at what no policy of this project names
	@$(TRIVY) config --quiet --exit-code 1 --severity MEDIUM,HIGH,CRITICAL --ignorefile deploy/infra/.trivyignore deploy/infra

provision: ## [ENVIRONMENT=production] [PLAN=yes] [LOSS=yes]: plan, judge the plan, and apply that very plan
	@$(LADDER) provision $(if $(filter yes,$(PLAN)),plan,apply)

unprovision: ## [ENVIRONMENT=…] LOSS=yes: destroy what was made; what production holds stays
	@$(LADDER) provision destroy
