"""The console: pages in the browser over the use cases of `admin/`."""
