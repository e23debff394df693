.PHONY: risks

risks: setup ## [RAN=yes]: the register of risks, each with its controls; RAN also asks that they have run here
	@$(RUN) risks $(if $(RAN),--ran)

check: risks # its recipe is under Checks
