.PHONY: version restore

version: setup ## [CHECK=yes]: give your data a version that a commit names, or only check it
	@$(RUN) version $(if $(CHECK),--check)

restore: setup ## bring back the data that this commit names
	@$(RUN) version --restore
