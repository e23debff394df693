.PHONY: outcomes quality feedback

outcomes: setup ## FILE=… [CORRECT=yes]: take what became of logged predictions
	@$(RUN) outcomes "$$FILE" $(if $(CORRECT),--correct)

quality: setup ## [FAIL=yes]: is the champion as good as promised, by what became of its predictions?
	@$(RUN) quality $(if $(FAIL),--fail)

feedback: setup ## make a file of the data from logged rows whose outcome is known
	@$(RUN) feedback
