"""Callbacks that come with runner; each could be deleted without changing a result."""
