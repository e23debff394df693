.PHONY: off on

off: ## the switch: no model answers any more, its stand-in does
	@mkdir -p models/serving && touch models/serving/off
	@echo "Off: the stand-in answers within a second.  To undo: make on"

on: ## the model answers again
	@rm -f models/serving/off
	@echo "On: the model answers within a second"
