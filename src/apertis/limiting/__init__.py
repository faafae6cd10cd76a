"""Limits over time: sliding windows of requests and of tokens, and what they say. Pure."""
