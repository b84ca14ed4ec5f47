"""Pure numba functions over arrays: what the edge believes and counts."""
