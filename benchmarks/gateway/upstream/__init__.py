"""The stub that stands behind every gateway: canned answers, and streams that keep time."""
