"""Observability: a log line and counters for each request."""
