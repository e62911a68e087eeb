"""The only modules that vLLM loads, and that import vLLM at its extension points (``lorarack.server.launch`` starts it)."""
