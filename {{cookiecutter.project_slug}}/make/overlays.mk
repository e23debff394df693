# Variables of the environment whose values may differ between staging and production.
MAY_DIFFER ?=

.PHONY: overlays

overlays: setup ## [MAY_DIFFER="NAME …"]: what staging and production differ in; fails where they may not
	@$(BIN)/python tools/overlays.py $(MAY_DIFFER)
