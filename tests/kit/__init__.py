"""What tests share: servers to run, clients to ask them, scripts for upstreams, and their data.

Fixtures come from the modules that tests/conftest.py loads as plugins; classes and functions are
imported from the module that has them.
"""
