# The image of the service has what its metrics need.
BUILD_ARGS += --build-arg GROUP=service
