# Without Prometheus on this machine its tool comes from its image.
PROMTOOL ?= $(shell command -v promtool || echo docker run --rm --volume "$(CURDIR)/monitoring:/monitoring:ro" --workdir /monitoring --entrypoint promtool prom/prometheus:v3.5.0)

.PHONY: alerts

alerts: ## check the alert rules, and test when each of them fires
	@cd monitoring && $(PROMTOOL) check rules $(notdir $(wildcard monitoring/*alerts.yml monitoring/*rules.yml)) && $(PROMTOOL) test rules *alerts_test.yml
