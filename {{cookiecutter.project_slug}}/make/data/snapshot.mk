.PHONY: snapshot restore

snapshot: setup ## [CHECK=yes]: give your data a version that a commit names, or only check it
	@$(RUN) snapshot $(if $(CHECK),--check)

restore: setup ## bring back the data that this commit names
	@$(RUN) snapshot --restore
