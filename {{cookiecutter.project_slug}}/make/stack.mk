STACK := docker compose --file compose/serving.yaml --file monitoring/compose.yaml

.PHONY: stack unstack

stack: ## ALERT_WEBHOOK=url GRAFANA_PASSWORD=…: Prometheus, alerts and dashboards beside what `make deploy` runs
	@$(STACK) up --detach --wait prometheus alertmanager pushgateway grafana
	@echo "Grafana http://127.0.0.1:3000   Prometheus http://127.0.0.1:9090   alerts http://127.0.0.1:9093"

unstack: ## stop what watches; what it has measured stays in its volumes
	@ALERT_WEBHOOK=- GRAFANA_PASSWORD=- $(STACK) rm --stop --force prometheus alertmanager pushgateway grafana
