"""What the tap hears is checked row by row: what cannot be true is counted and dropped."""

from probe.base.jit import kernel
from probe.wire.events import NO_RSRP, NO_TA, RSRP_CODE_MAX, TA_MAX, Kind

# Numbers have 15 digits, none of the country codes begins with 0.
KIND_MAX, SUBSCRIBER_MIN, SUBSCRIBER_MAX = max(Kind).value, 10**14, 10**15 - 1
AHEAD_MS = 3_600_000  # a clock further ahead of the watermark than this is wrong


@kernel
def sound(event, cell_count, latest_ms):
    """Return whether one EVENT can be true.

    cell_count : i8  rows of the plan; latest_ms : i8  the watermark and AHEAD_MS

    There is no earliest time: what comes too late is counted as late, not as invalid.
    Source of the ranges: 3GPP TS 36.133 table 9.1.4-1 (RSRP), TS 36.213 4.2.3 (timing advance).
    """
    for heard in range(8):
        if RSRP_CODE_MAX < event.rsrp[heard] < NO_RSRP:
            return False
    return (0 <= event.time_ms <= latest_ms and SUBSCRIBER_MIN <= event.subscriber <= SUBSCRIBER_MAX
        and event.cell < cell_count and 1 <= event.kind <= KIND_MAX and (event.ta <= TA_MAX or event.ta == NO_TA))
