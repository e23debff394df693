# From here on the environment is what uv.lock says.  A mirror of the package index, as in UV_DEFAULT_INDEX, serves
# its packages, but its address never gets into the lock: elsewhere nobody could use it.
MIRRORS := UV_DEFAULT_INDEX UV_INDEX_URL UV_INDEX UV_EXTRA_INDEX_URL
FITS = env $(MIRRORS:%=-u %) $(UV) lock --quiet --check --offline --no-config 2> /dev/null
INSTALL = { $(FITS) || $(UV) lock --quiet; } && $(UV) venv --quiet --allow-existing $(ENVIRONMENT) \
	&& $(UV) export --quiet --frozen --output-file $(ENVIRONMENT)/lock.txt \
	&& $(UV) pip sync --quiet --python $(ENVIRONMENT) $(ENVIRONMENT)/lock.txt
