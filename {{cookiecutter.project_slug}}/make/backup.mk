.PHONY: backup recover

backup: ## keep runs, registry and artifacts as they are now, of this folder and of the stack, in backups/
	@$(PYTHON) tools/backup.py make

recover: ## FROM=backups/… [OVERWRITE=yes]: bring back what a backup holds
	@$(PYTHON) tools/backup.py restore "$(FROM)" $(if $(filter yes,$(OVERWRITE)),--overwrite)
