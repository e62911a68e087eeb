"""The steps of routing, in the order of a request: whether the key is for it, which version is meant, then have it loaded."""
