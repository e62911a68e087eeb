"""Versions out of a registry into a folder that PEFT reads, and from there into another registry."""
