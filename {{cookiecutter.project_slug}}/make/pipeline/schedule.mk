.PHONY: schedule

schedule: setup ## [NOW=yes]: run the pipeline at the times of config/schedule.toml, and tell where a run fails
	@$(RUN) schedule $(if $(NOW),--now)
