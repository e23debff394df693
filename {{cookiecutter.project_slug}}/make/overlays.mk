.PHONY: overlays

overlays: setup ## what staging and production differ in; fails where they may not
	@$(BIN)/python tools/overlays.py
