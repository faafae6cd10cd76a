"""People and groups: who stands behind the keys."""
