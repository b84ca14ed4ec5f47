"""Signalling as the tap hears it, with identity.  Never imported behind the probe.

One event is 48 packed little-endian bytes, the same in memory and on the wire.
"""

from enum import IntEnum

import numpy as np

from probe.base.packing import HEARD, Batch as Batch, batches

MAGIC, EVENT = "footfall.events", np.dtype([("time_ms", "<i8"), ("subscriber", "<u8"), *HEARD])  # UTC; 15 digits
NO_CELL, NO_TA, NO_RSRP, NO_PCI, NO_AOA = 0xFFFFFFFF, 0xFFFF, 0xFF, 0xFFFF, 0xFFFF
RSRP_CODE_MAX, TA_MAX = 97, 1282


class Kind(IntEnum):
    """What the handset and the network said to each other."""

    ATTACH, DETACH, TAU, TAU_PERIODIC = 1, 2, 3, 4
    SERVICE_REQUEST, PAGING_RESPONSE, RELEASE, HANDOVER = 5, 6, 7, 8
    REESTABLISHMENT, REPORT, CALL, SMS = 9, 10, 11, 12


encode, decode = batches(MAGIC, EVENT)  # rows are checked by the tap, one by one
