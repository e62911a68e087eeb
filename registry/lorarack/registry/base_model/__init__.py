"""What a base model is: its fingerprint and its table of modules, read without torch from a folder or from the Hub."""
