# The image of the service has the settings of the rollout.

# `make pipeline ROLLOUT=yes`: an accepted version is rolled out, not promoted at once.
ifdef ROLLOUT
export {{ cookiecutter.package_name | upper }}_ROLLOUT__ENABLED := true
endif

.PHONY: rollout

rollout: setup ## [VERSION=n] [STEP=yes] [WATCH=seconds] [ABORT=yes]: bring a version into use step by step
	@$(RUN) rollout $(if $(VERSION),--version $(VERSION)) $(if $(STEP),--step) $(if $(WATCH),--watch $(WATCH)) $(if $(ABORT),--abort)
