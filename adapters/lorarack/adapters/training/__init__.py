"""Training: rows to tokens, a PEFT adapter on a frozen base, the best checkpoint published as a version."""
