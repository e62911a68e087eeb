"""Live A/B between versions of one adapter: who gets which arm, and what the observations say at any moment."""
