"""Sign-in: who somebody is, what they may do, and for how long."""
