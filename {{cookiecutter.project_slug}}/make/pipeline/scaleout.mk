.PHONY: scaleout

scaleout: setup ## [WORKERS=2] [ROWS=200000]: the same work here and on Dask workers: is it the same, how much faster
	@$(RUN) scaleout $(if $(WORKERS),--workers $(WORKERS)) $(if $(ROWS),--rows $(ROWS))
