.PHONY: deploy undeploy

deploy: image setup ## [COMMIT=…]: start the image beside the one that serves; switch when it is ready
	@$(BIN)/python tools/deploy.py $(IMAGE) $(SHA)

undeploy: ## stop the service; its log of predictions stays
	@docker compose --file compose/serving.yaml down
