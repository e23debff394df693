# The image of the service gets the champion as a last layer: a pod runs one commit with one model.
NAME := {{ cookiecutter.package_name | replace('_', '-') | trim('-') }}
CHAMPION := models/serving/champion.json
MODEL = $(shell sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' $(CHAMPION) 2> /dev/null)
MODELS = $(CHAMPION) models/serving/$(MODEL)
PACKED = $(IMAGE)-model-$(MODEL)
SET_IMAGE = sed 's|image: $(NAME)$$|image: $(PACKED)|'

# How a deployment goes; a later part of the Makefile may set another way.
define DEPLOY
kubectl kustomize deploy/kubernetes/base | $(SET_IMAGE) | kubectl apply -f -
kubectl rollout status deployment/$(NAME) --timeout=180s || { kubectl logs -l app.kubernetes.io/name=$(NAME) --tail=20 --prefix; \
	kubectl rollout undo deployment/$(NAME); echo "Not switched: $(PACKED) did not become ready; the old pods go on"; exit 1; }
endef

.PHONY: deploy packed manifests

deploy: packed ## [COMMIT=…] [REGISTRY=host/]: roll out commit and champion; back where they are not ready
	@$(DEPLOY)

packed: image
	@test -n "$(MODEL)" || { echo "$(CHAMPION): no champion, so /ready would answer 503; run: make pipeline"; exit 1; }
	@tar -c deploy/kubernetes/base/Dockerfile $(MODELS) | docker build --quiet --file deploy/kubernetes/base/Dockerfile --build-arg IMAGE=$(IMAGE) --tag $(PACKED) -
	@$(if $(REGISTRY),docker push --quiet $(PACKED))

manifests: ## what `make deploy` would apply
	@kubectl kustomize deploy/kubernetes/base | $(SET_IMAGE)
