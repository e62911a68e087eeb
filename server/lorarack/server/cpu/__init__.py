"""LoRA arithmetic on a CPU: rows grouped by adapter slot, rows without an adapter left alone. Torch only, no vLLM."""
