"""What requests use and cost: counts, tokens, prices, and bounds before anything is sent. Pure."""
