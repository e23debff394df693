.PHONY: audit

audit: setup ## [NOTE=yes] [REPAIR=yes]: the chain of promotions, approvals and configuration against registry and git
	@$(RUN) audit $(if $(NOTE),--note) $(if $(REPAIR),--repair)
