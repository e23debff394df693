.PHONY: scaleout

scaleout: setup ## [WORKERS=2] [ROWS=200000]: compare result and speed of the same work here and on Dask workers
	@$(RUN) scaleout $(if $(WORKERS),--workers $(WORKERS)) $(if $(ROWS),--rows $(ROWS))
