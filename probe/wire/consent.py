"""Who may be counted: purposes as bits, and the one rule.  Absent, unknown or conflicting = no."""

import numpy as np

VERSION = 1
PURPOSES = ("network", "market_research", "marketing")
BASES = ("consent", "anonymous")
YES = {name: np.uint8(1 << index) for index, name in enumerate(PURPOSES)}
NO = {name: np.uint8(1 << (index + 3)) for index, name in enumerate(PURPOSES)}  # an objection
CONFLICT = "a yes and a no together mean no"


def countable(flags, minor, purpose: str, basis: str):
    """Return bool[n]: who may be counted for purpose.

    flags : u1[n]   yes bits (0-2) and objection bits (3-5) by purpose
    minor : bool[n] minors are never counted
    basis : "consent" counts who said yes, "anonymous" everyone who did not object
    """
    objected = (flags & NO[purpose]) != 0
    agreed = (flags & YES[purpose]) != 0
    wanted = agreed if basis == "consent" else np.ones_like(agreed)
    return wanted & ~objected & ~minor
