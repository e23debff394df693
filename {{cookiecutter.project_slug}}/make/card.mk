.PHONY: card

card: setup ## [CHECK=yes]: write MODEL_CARD.md from the champion's run, or only check it
	@$(RUN) card $(if $(CHECK),--check)
