"""Plugins: where releases are kept."""
