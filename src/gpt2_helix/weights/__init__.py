"""Bytes: tensors by name, from files and from the hub."""
