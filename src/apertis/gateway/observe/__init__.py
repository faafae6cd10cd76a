"""What the gateway tells of its work: a line of the log and counts for each request."""
