.PHONY: privacy privacy-checked forget retain

privacy: setup ## what each column is, and whether it may reach the model and the log
	@$(RUN) privacy

forget: setup ## ID=id [COLUMN=name] [DRY=yes]: remove an id from data and log, and record that it was
	@$(RUN) forget --id="$$ID" $(if $(COLUMN),--column="$$COLUMN") $(if $(DRY),--dry-run)

retain: setup ## delete requests from the prediction log that are older than governance/privacy.toml allows
	@$(RUN) retain

check: privacy-checked # its recipe is under Checks

privacy-checked: setup
	@$(RUN) privacy --check
