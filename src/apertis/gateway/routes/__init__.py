"""The HTTP edge: which paths there are, and what each does. No policy, no storage."""
