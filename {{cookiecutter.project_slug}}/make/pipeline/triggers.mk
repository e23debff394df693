# The keys of the receiver are others than those of the service.
RECEIVER_KEYS ?= models/receiver_keys.json

.PHONY: trigger receive receiver-key

trigger: setup ## [CAUSE=drift|quality|data] [ALERT=…] [APPROVE=…]: does what has happened start a training?
	@$(RUN) trigger $(if $(CAUSE),--cause $(CAUSE)) $(if $(ALERT),--alert "$$ALERT") $(if $(APPROVE),--approve "$$APPROVE")

receive: setup ## be told of alerts, reports and outcomes over HTTP, by who has a key
	@$(RUN) receive

receiver-key: setup ## [NAME=… [DAYS=…] | REVOKE=…]: add a key of the receiver and print it once; take one away
	@{{ cookiecutter.package_name | upper }}_ACCESS__KEY_FILE="$(RECEIVER_KEYS)" $(RUN) key $(if $(NAME),--name "$$NAME") $(if $(DAYS),--days $(DAYS)) $(if $(REVOKE),--revoke "$$REVOKE")
