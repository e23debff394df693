# `make stage CANDIDATE=n`: the pods are given that version too, so that a rollout can begin in them.
ifdef CANDIDATE
MODELS += models/serving/$(CANDIDATE)
PACKED = $(IMAGE)-model-$(MODEL)-and-$(CANDIDATE)

packed: candidate

.PHONY: candidate

candidate: setup
	@$(RUN) rollout --fetch $(CANDIDATE)
endif
