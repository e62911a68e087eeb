"""What can be done to a registry, by subject; `lorarack.registry.registry.Registry` has all of it."""
