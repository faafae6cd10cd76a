"""Administration of keys, usage and the cache, shared by the admin API and the command line."""
