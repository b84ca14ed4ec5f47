"""A table from another distribution: who stayed an hour or more, by area, age and gender; and one that lies."""

import numpy as np

from collector.edge.metrics import Metric


class LongStays(Metric):
    """At most 12 areas a day, in each of them once, as one age and gender."""

    name, table, source, span, by = "long_stays", 100, "visits", "day", ("area", "age", "gender")
    level: int = 4  # of the longest stay

    def bound_squared(self, slot_s: int) -> int:
        return 12

    def counts(self, records: np.ndarray) -> np.ndarray:
        return records["what"] >= self.level


class LongStaysAnywhere(LongStays):
    """Leaves the area out, and the bound as it was: twelve stays of one person now meet in one cell."""

    name, table, by = "long_stays_anywhere", 101, ("age", "gender")
