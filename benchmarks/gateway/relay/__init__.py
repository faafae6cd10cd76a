"""A relay without any feature, on the libraries that our gateway uses: the limit in Python."""
