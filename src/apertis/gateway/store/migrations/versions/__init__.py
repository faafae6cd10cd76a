"""One module for each step, named by its revision; a step that was released never changes."""
