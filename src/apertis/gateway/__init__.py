"""The server: Claude's Messages API behind keys, over HTTP.

`apertis serve` runs it; `apertis.gateway.serving.application.create_app` is the ASGI application.
"""
