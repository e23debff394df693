.PHONY: incident delivery

incident: setup ## [TITLE="…" [SEVERITY=high] | RESTORED=name [CAUSE=deploy]]: open an incident, end it, or list all
	@$(RUN) incident $(if $(TITLE),--title "$$TITLE" $(if $(SEVERITY),--severity $(SEVERITY))) $(if $(RESTORED),--restored "$$RESTORED" $(if $(CAUSE),--cause $(CAUSE)))

delivery: setup ## [DAYS=90]: lead time, deployments a week, share that failed, time to restore
	@$(RUN) delivery $(if $(DAYS),--days "$$DAYS")
