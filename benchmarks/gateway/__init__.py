"""The gateway's numbers, beside those of LiteLLM's proxy and Portkey's gateway."""
