.PHONY: data

data: setup ## [DECLARE=yes]: bring missing data files back, and verify every sha256
	@$(RUN) data $(if $(DECLARE),--declare)
