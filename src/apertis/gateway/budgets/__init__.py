"""Budgets: limits, their periods, and the money that may be spent of them here."""
