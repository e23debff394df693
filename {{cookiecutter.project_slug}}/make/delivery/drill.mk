.PHONY: drill

drill: setup ## [ONLY=rollback]: run every block of the runbooks in a copy; noted in docs/runbooks/drills.jsonl
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(RUN) drill $(ONLY)
