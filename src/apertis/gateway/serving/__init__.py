"""HTTP on the client's side: the server, its protocol, the paths, and how answers are written."""
