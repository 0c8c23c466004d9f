"""Tooling of the repository; not shipped."""
