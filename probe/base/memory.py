"""Memory that must not be told: zeroed before it is let go."""

import numpy as np


def wipe(*arrays: np.ndarray) -> None:
    """Zero the memory of arrays."""
    for array in arrays:
        array.view("u1")[:] = 0
