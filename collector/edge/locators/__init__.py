"""Plugins: from an observation to a fix."""
