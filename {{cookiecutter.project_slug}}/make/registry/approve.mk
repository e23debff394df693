.PHONY: approve approved

approve: setup ## VERSION=n [REVIEW=n | REQUEST=yes]: say yes, as a second person, to what the gate has accepted
	@$(RUN) approve --version="$(VERSION)" $(if $(REVIEW),--review="$(REVIEW)") $(if $(REQUEST),--request)

approved: setup ## has somebody else approved the champion? `make promote` asks
	@$(RUN) approved
