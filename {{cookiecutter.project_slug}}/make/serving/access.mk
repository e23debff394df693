.PHONY: key

key: setup ## [NAME=… [DAYS=…] | REVOKE=…]: add an API key and print it once; take one away; list them
	@$(RUN) key $(if $(NAME),--name "$$NAME") $(if $(DAYS),--days $(DAYS)) $(if $(GRACE),--grace $(GRACE)) $(if $(REVOKE),--revoke "$$REVOKE")
