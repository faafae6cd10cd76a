"""The load generator: bytes built before, answers checked, next to nothing done in between."""
