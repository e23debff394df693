.PHONY: registry publish

registry: setup ## [REPAIR=yes]: list versions and aliases; fail where the gate did not decide them
	@$(RUN) registry $(if $(REPAIR),--repair)

publish: setup ## bring the champion of the registry to this machine, to be served
	@$(RUN) publish
