"""Asking a running server the same rows of several versions, and scoring what comes back."""
