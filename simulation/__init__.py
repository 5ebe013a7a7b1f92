"""What many workers cost, how stale what they read is, and what that does to learning."""
