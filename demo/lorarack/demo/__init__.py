"""The demo: a small real base model, a small real task, and the story that runs through both."""
