"""Limits: how many requests and tokens are let in, and how many at once. No clock inside."""
