"""The names of the `anthropic` package, as aliases of ours: programs for it change their import.

Nothing here is loaded before it is asked for, and nothing on the way of a call is here.
"""
