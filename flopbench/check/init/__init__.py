"""A first configuration for a repository."""
