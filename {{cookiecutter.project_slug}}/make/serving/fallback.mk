.PHONY: off on
SWITCH = $(BIN)/python -c 'from mlops_ladder.settings import load_settings; print(load_settings().fallback.switch)'

off: ## the switch: no model answers any more, its stand-in does
	@file="$$($(SWITCH))" && mkdir -p "$$(dirname "$$file")" && touch "$$file"
	@echo "Off: the stand-in answers within a second.  To undo: make on"

on: ## the model answers again
	@file="$$($(SWITCH))" && rm -f "$$file"
	@echo "On: the model answers within a second"
