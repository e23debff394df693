.PHONY: image

image: committed ## [COMMIT=…] [NATIVE=yes]: build the image of the service from a commit, once
	@docker image inspect $(IMAGE) > /dev/null 2>&1 \
	|| git archive $(SHA) | DOCKER_BUILDKIT=1 $(BUILD) $(BUILD_OPTIONS) --tag $(IMAGE) -
	@docker images $(IMAGE)
