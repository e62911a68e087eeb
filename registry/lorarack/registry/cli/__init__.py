"""The command line of the registry, and the root that mounts the other components' commands."""
