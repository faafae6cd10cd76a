"""Persistent data: everything the server keeps between two runs."""
