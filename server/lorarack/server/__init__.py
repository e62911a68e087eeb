"""Serving many adapters from one vLLM engine over the registry."""
