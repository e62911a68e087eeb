"""vLLM: its plugins, the engine behind our port, and the patches of its engine and worker (`lorarack.server.launch` starts it)."""
