.PHONY: overlays

overlays: setup ## what staging and production differ in; fails where they may not
	@$(RUN) overlays
