"""Signalling behind the probe: who it was is gone, a day's pseudonym and a class remain.

One observation is 59 packed little-endian bytes; it never leaves the process that made it.
pseudonym : of the person, under the key of the local day
home      : home area or country, NO_HOME = unknown
klass     : age band * 3 + gender
week      : pseudonym of the person under the key of the week, 0 = none
"""

import numpy as np

from probe.base.packing import HEARD

OBSERVATION = np.dtype([("time_ms", "<i8"), ("pseudonym", "<u8"), *HEARD, ("home", "<u2"), ("klass", "u1"),
                        ("week", "<u8")])
NO_CELL, NO_TA, NO_RSRP, NO_PCI, NO_HOME = 0xFFFFFFFF, 0xFFFF, 0xFF, 0xFFFF, 0xFFFF
DETACH = 2  # the one kind that ends presence
