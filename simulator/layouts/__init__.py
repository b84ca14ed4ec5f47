"""Plugins: how the masts stand."""
