.PHONY: watch

watch: setup ## write reports/watch.html: requests, latency, answers and drift, from the log
	@$(RUN) watch
