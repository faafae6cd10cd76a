"""The blocking client: `client`, its `resources`, the `sender`, `stream`s, and the `wire`."""
