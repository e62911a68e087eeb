"""The only modules that import vLLM at its extension points."""
