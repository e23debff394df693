ARCHIVE ?= build/image.tar

.PHONY: smoke save-image load-image

smoke: image ## start the image with the champion of models/serving, and ask it for a prediction
	@id=$$(docker run --detach --volume "$(CURDIR)/models/serving:/app/models/serving:ro" $(IMAGE)) && trap "docker rm --force $$id > /dev/null" EXIT; \
	ask() { docker exec $$id python -m mlops_ladder.delivery.smoke http://127.0.0.1:8000 $(SHA); }; \
	for second in $$(seq 60); do ask > /dev/null 2>&1 && break; sleep 1; done; ask || { docker logs $$id; exit 1; }

save-image: image ## [ARCHIVE=file]: write the image of the commit to a file
	@mkdir -p $(dir $(ARCHIVE)) && docker save --output $(ARCHIVE) $(IMAGE)

load-image: ## [ARCHIVE=file]: bring an image back from a file
	@docker load --quiet --input $(ARCHIVE)
