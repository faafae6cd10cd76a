"""Tools that a program runs for the model, and the loop that runs them."""
