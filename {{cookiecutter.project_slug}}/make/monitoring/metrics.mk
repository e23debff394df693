# The image of the service has what its metrics need, and its settings.
BUILD_ARGS += --build-arg GROUP=service
