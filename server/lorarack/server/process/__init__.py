"""Start and end of the server's processes: what begins early, what ends with its parent, what is said at the end."""
