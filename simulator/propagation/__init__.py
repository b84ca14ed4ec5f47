"""Plugins: how loud a cell is at a place."""
