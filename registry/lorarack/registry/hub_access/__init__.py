"""Reaching the Hub: the client, names of repositories, byte ranges of files, and what becomes of the client's errors."""
