.PHONY: rollback

rollback: setup ## [TO=version]: the previous champion is champion again; the service follows
	@$(RUN) rollback $(if $(TO),--to $(TO))
