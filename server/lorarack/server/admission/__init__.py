"""Who may have a request answered now, who waits, and who is told to come back."""
