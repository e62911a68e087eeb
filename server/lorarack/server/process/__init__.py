"""Start and end of the server's processes."""
