"""Executable claims about GPT-2 small's positional embeddings and its previous-token heads."""
