"""Beside each probe: triangulates, bins, counts, seals."""
