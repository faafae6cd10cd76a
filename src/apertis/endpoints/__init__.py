"""The API's endpoints, each once: parameters -> `Call`. Pure; both clients run the calls."""
