"""What comes before vLLM's routes, in plain ASGI without vLLM: the key check, the model resolver, and our own routes."""
