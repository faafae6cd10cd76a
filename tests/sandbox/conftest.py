"""The sandbox without a server, and what this folder shows it."""

from tests.kit.sandbox import assemble, client, image_block, new_client, pdf, picture, weather

__all__ = ["assemble", "client", "image_block", "new_client", "pdf", "picture", "weather"]
