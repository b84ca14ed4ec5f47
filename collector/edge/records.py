"""RECORD: what the people stage grants to tables: one thing that happened to one person, without saying whom.

time_ms : UTC; of visits and weeks the first instant of the local day or week
area    : row of the area set; destination of a trip
origin  : row of the area that a trip comes from
home    : home of the person, as in an observation; only visits tell it
klass   : age band * 3 + gender; only visits tell it
what    : steps: ARRIVAL or DEPARTURE; trips: FIRST_IN_PART and FIRST_IN_HOUR, added; visits: level of the
          longest stay, 0 to 5; weeks: number of days with a visit, 1 to 7
rank    : of a visit: number of earlier areas of the person that day with level >= 1
sign    : 1, or -1: what was told earlier of that instant is taken back
"""

import numpy as np

from collector.edge.kernels import visits

RECORD = np.dtype([("time_ms", "<i8"), ("area", "<u2"), ("origin", "<u2"), ("home", "<u2"), ("klass", "u1"),
                   ("what", "u1"), ("rank", "u1"), ("sign", "i1")])
ARRIVAL, DEPARTURE = visits.ARRIVAL, visits.DEPARTURE
FIRST_IN_PART, FIRST_IN_HOUR = visits.FIRST_IN_PART, visits.FIRST_IN_HOUR  # of its pair of areas; of its pair of zones
CLASSES = 21


def told(time_ms: int, area: np.ndarray, what: np.ndarray | int = 0, klass: np.ndarray | int = 0) -> np.ndarray:
    """Return RECORD[n] of areas u2[n], all of one instant; the rest of each is 0."""
    found = np.zeros(len(area), RECORD)
    found["time_ms"], found["area"], found["what"], found["klass"], found["sign"] = time_ms, area, what, klass, 1
    return found
