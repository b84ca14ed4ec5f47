"""Shipped scenarios, as TOML."""
