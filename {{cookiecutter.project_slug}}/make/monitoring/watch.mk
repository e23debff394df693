.PHONY: watch

watch: setup ## write reports/watch.html: what was asked and answered, how fast, and drift, from the log
	@$(RUN) watch
