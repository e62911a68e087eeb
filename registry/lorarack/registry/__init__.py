"""What an adapter is, and where its versions live. Neither torch nor vLLM is imported here."""
