.PHONY: rollback

rollback: setup ## [TO=version]: make the previous champion champion again; the next predictions are its
	@$(RUN) rollback $(if $(TO),--to $(TO))
