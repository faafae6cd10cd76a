"""API keys: what they look like, and which of them may come in. No files, no clock."""
