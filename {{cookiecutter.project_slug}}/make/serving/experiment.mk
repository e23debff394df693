.PHONY: experiment

experiment: setup ## [NAME=name] [START=yes] [DECIDE=candidate|champion]: two versions compared; without a name: all releases
	@$(RUN) experiment $(NAME) $(if $(START),--start) $(if $(DECIDE),--decide $(DECIDE))
