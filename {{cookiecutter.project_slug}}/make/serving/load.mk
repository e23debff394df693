.PHONY: load

load: setup ## [URL=…]: load on the service of the champion, or on a running one; fail over a budget
	@$(RUN) load $(if $(URL),--url $(URL))
