"""The models that callers are shown: configured ones, and those that an upstream lists itself."""
