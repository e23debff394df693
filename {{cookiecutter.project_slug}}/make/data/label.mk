.PHONY: label

label: setup ## fill the queue for people | FILE=filled.csv BY=name [DECIDE=yes] [RELABEL=yes] | MERGE=yes | CHECK=yes
	@$(RUN) label $(if $(FILE),--take "$(FILE)" --by "$(BY)") $(if $(DECIDE),--decide) $(if $(RELABEL),--relabel) $(if $(MERGE),--merge) $(if $(CHECK),--check)
