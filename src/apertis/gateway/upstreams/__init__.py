"""Upstreams: the services that answer requests."""
