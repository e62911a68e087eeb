"""Live A/B between versions of one adapter: who gets which arm, and the evidence at any moment."""
