"""Message batches, as far as they are only bytes: bodies, results, pages and addresses."""
