.PHONY: registry publish

registry: setup ## [REPAIR=yes]: list versions and aliases; fail if they were changed outside the gate
	@$(RUN) registry $(if $(REPAIR),--repair)

publish: setup ## download the champion of the registry to this machine, and use it
	@$(RUN) publish
