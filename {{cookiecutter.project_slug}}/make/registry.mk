.PHONY: registry rollback publish

registry: setup ## [REPAIR=yes]: list versions and aliases; fail where the gate did not decide them
	@$(RUN) registry $(if $(REPAIR),--repair)

rollback: setup ## [TO=version]: the previous champion is champion again; the service follows
	@$(RUN) rollback $(if $(TO),--to $(TO))

publish: setup ## bring the champion of the registry to this machine, to be served
	@$(RUN) publish
