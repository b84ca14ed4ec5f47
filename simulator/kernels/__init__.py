"""Pure numba functions over arrays: what happens to many handsets at once."""
