.PHONY: rollback

rollback: setup ## [TO=version]: make the previous champion champion again; the service follows
	@$(RUN) rollback $(if $(TO),--to $(TO))
