"""Other ranks and other strengths of adapters that exist: resize, merge, scale, grow. No training."""
