"""Making adapters: train them at several ranks, evaluate them, compare the ranks."""
