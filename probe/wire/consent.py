"""Who may be counted: purposes as bits, and the one rule.  Absent, unknown or conflicting = no."""

import numpy as np

PURPOSES, BASES = ("network", "market_research", "marketing"), ("consent", "anonymous")
# The bit of each purpose: of a yes, of an objection.
YES, NO = ({name: np.uint8(first << index) for index, name in enumerate(PURPOSES)} for first in (1, 8))
# What one person said: from when on, for the purpose of this index: a yes, or a no (an objection, a yes taken back).
CHANGE = np.dtype([("time_ms", "<i8"), ("subscriber", "<u8"), ("purpose", "u1"), ("yes", "?")])


def countable(flags, minor, person, purpose: str, basis: str):
    """Return bool[n]: who may be counted for purpose.  A yes and a no of one person mean no.

    flags  : u1[n]   yes bits (0-2) and objection bits (3-5) by purpose
    minor  : bool[n] minors are never counted
    person : u8[n]   who: the no of one handset holds for all handsets of the person
    basis  : "consent" counts who said yes, "anonymous" everyone who did not object
    """
    agreed = (flags & YES[purpose] != 0) | (basis != "consent")
    refused = (flags & NO[purpose] != 0) | minor
    return agreed & ~np.isin(person, person[refused])
