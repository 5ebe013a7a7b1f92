"""A paper that exists in tests only."""
