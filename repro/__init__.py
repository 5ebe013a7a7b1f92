"""Reproductions of papers in which a model learns from another model instead of from labels alone."""
