"""Telemetry of Claude Code (OpenTelemetry over HTTP): taken in, and dropped or sent on.

`identity` writes into it whose it is, `relay` sends it to a collector, `route` is the endpoint.
Nothing of it is kept, and nothing of it is in the log.
"""
