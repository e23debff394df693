"""Scale-out: the same work here, or on the workers of a Dask cluster, by one setting."""
