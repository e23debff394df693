# From here on the environment is what uv.lock says.
INSTALL = $(UV) sync --quiet
