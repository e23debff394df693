# The receiver has keys of its own, not those of the service.
RECEIVER_KEYS ?= models/receiver_keys.json

.PHONY: trigger receive receiver-key

trigger: setup ## [CAUSE=drift|quality|data] [ALERT=…] [APPROVE=…]: decide whether an event starts a training
	@$(RUN) trigger $(if $(CAUSE),--cause $(CAUSE)) $(if $(ALERT),--alert "$$ALERT") $(if $(APPROVE),--approve "$$APPROVE")

receive: setup ## receive alerts, reports and outcomes over HTTP, with an API key
	@$(RUN) receive

receiver-key: setup ## [NAME=… [DAYS=…] | REVOKE=…]: add a key of the receiver and print it once, or revoke one
	@{{ cookiecutter.package_name | upper }}_ACCESS__KEY_FILE="$(RECEIVER_KEYS)" $(RUN) key $(if $(NAME),--name "$$NAME") $(if $(DAYS),--days $(DAYS)) $(if $(REVOKE),--revoke "$$REVOKE")
