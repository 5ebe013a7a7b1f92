"""Data sets as tensors, found, fetched and verified."""
