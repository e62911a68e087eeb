"""LoRA on a CPU: vLLM's platform and LoRA layers over a compiled kernel, or over torch."""
