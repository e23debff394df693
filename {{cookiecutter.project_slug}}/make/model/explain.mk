.PHONY: explain

explain: setup ## [ID=request ROW=1]: what made a logged prediction what it is; without an id, what the champion uses
	@$(RUN) explain $(if $(ID),--id="$$ID") $(if $(ROW),--row $(ROW))
