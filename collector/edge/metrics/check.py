"""The contract of a metric, a stranger's too: what one person can add, and that cuts do not show."""

import numpy as np

from collector.edge.slots import Slots


def broken(metric, slots: Slots, area_count: int, crowd, person) -> list[str]:
    """Return the promises that a metric breaks on one local day.

    crowd, person : (OBSERVATION[n], FIX[n])  in order of time; the pseudonym of person is not in crowd
    """
    order = np.argsort(np.append(crowd[0]["time_ms"], person[0]["time_ms"]), kind="stable")
    both = tuple(np.concatenate(pair)[order] for pair in zip(crowd, person, strict=True))
    whole, rest, cut_up = (played(metric, slots, area_count, *one) for one in ((both,), (crowd,), (both, 1)))
    added = sum(int(units) ** 2 for units in (whole - rest).ravel())
    return [broken for broken, kept in (
        ("a tally is i8[areas]", whole.dtype == np.int64 and whole.shape[1] == area_count),
        ("one person adds more than bound_l2_units", added <= metric.bound_l2_units() ** 2),
        ("tallies depend on how rows are cut into batches", np.array_equal(whole, cut_up))) if not kept]


def played(metric, slots: Slots, area_count: int, rows, cut: int = 1 << 20) -> np.ndarray:
    """Return i8[slots, areas] of rows (OBSERVATION[n], FIX[n]) of the first local day, `cut` a batch."""
    state, slot = metric.build(area_count, slots), slots.of(slots.start_ms)
    tallies: list[np.ndarray] = []
    while not tallies or not slots.ends_day(slot - 1):
        now = np.flatnonzero(rows[0]["time_ms"] // slots.length_ms == slot)
        for first in range(0, len(now), cut):
            state.count(*(column[now[first : first + cut]] for column in rows))
        tallies.append(state.close())
        slot += 1
    return np.array(tallies)
