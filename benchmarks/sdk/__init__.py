"""The SDK's numbers, beside those of `anthropic`."""
