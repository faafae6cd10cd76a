"""Alerts: what is told of budgets, keys, upstreams and the journal, and how it gets to people."""
