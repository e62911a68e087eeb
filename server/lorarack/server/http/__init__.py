"""What stands before vLLM's routes: the gate, the gateway that turns references into versions, and our own routes."""
