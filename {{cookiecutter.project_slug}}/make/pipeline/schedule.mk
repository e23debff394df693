.PHONY: schedule

schedule: setup ## [NOW=yes]: run the pipeline at the times of config/schedule.toml, and notify of failures
	@$(RUN) schedule $(if $(NOW),--now)
