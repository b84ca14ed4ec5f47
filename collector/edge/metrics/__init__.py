"""Plugins: families of counts, each with what one person can add at most."""
