"""The steps of routing, in the order of a request: which version is meant, then have it loaded."""
