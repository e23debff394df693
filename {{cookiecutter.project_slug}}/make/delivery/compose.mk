# How a deployment goes; a later part of the Makefile may set another way.
DEPLOY = $(LADDER) deploy $(IMAGE) $(SHA)

.PHONY: deploy undeploy

deploy: image ## [COMMIT=…]: start the image beside the one that serves; switch when it is ready
	@$(DEPLOY)

undeploy: ## stop the service; its log of predictions stays
	@docker compose --file deploy/compose/serving.yaml down
