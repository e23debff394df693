.PHONY: approve approved

approve: setup ## VERSION=n [REQUEST=yes]: approve, as a second person, a version that the gate has accepted
	@$(RUN) approve --version="$(VERSION)" $(if $(REQUEST),--request)

approved: setup ## fail unless a second person approved the champion; a promotion to production runs it
	@$(RUN) approved
