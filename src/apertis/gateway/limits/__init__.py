"""Limits: how many requests and tokens are allowed, and how many at once. No clock inside."""
