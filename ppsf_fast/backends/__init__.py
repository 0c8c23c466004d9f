"""The backends: each executes a plan, with one meaning."""
