.PHONY: skew

skew: setup ## [ROWS=n]: answer logged rows again by the training code; fail where it differs
	@$(RUN) skew $(if $(ROWS),--rows $(ROWS))
