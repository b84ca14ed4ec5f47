"""Counts at the edge, stores and answers at the centre."""
