# With WORKERS=n several processes serve, on one port.
ifneq ($(WORKERS),)
SERVE_APP = $(RUN) workers --number $(WORKERS)
endif

.PHONY: survive

survive: setup ## [WORKERS=2]: put load on several workers and kill one; fail where a request does
	@$(RUN) survive $(if $(WORKERS),--number $(WORKERS))
