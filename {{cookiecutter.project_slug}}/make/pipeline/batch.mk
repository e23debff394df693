.PHONY: score backfill

score: setup ## score what is new in the source of config/batch.toml, once
	@$(RUN) score

backfill: setup ## FROM=time TO=time [BY=month] [DATA=file] [CHAMPION_OF=now|then]: score past periods, each row once
	@$(RUN) backfill --from "$${FROM:?the first time: FROM=2024-01-01}" --to "$${TO:?the time before which it ends: TO=2024-04-01}" \
	$(if $(BY),--by "$$BY") $(if $(DATA),--data "$$DATA") $(if $(CHAMPION_OF),--champion-of "$$CHAMPION_OF")
