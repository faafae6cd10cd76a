"""Several gateways on one store: who is there, and what they tell each other."""
