"""The story of one request: read, route, reserve, forward, relay, settle."""
