"""What administrators do with keys, usage and the cache: shared by admin API and command line."""
