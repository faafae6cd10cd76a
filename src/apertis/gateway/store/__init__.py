"""What the server keeps between two runs."""
