"""Token counts, prices and upper bounds of requests, before and after they are sent. Pure."""
