"""The contract of a metric, a stranger's too: what one person can add, and that cuts do not show."""

import numpy as np

from collector.edge.slots import Slots


def broken(metric, slots: Slots, area_count: int, crowd, person) -> list[str]:
    """Return the promises that a metric breaks on one local day.

    crowd, person : (OBSERVATION[n], FIX[n])  in order of time; the pseudonym of person is not in crowd
    """
    both = tuple(np.concatenate(pair) for pair in zip(crowd, person, strict=True))
    order = np.argsort(both[0]["time_ms"], kind="stable")
    both = both[0][order], both[1][order]
    with_person = played(metric, slots, area_count, both)
    added = with_person - played(metric, slots, area_count, crowd)
    found = []
    if with_person.dtype != np.int64 or with_person.shape[1] != area_count:
        found.append("a tally is i8[areas]")
    if sum(int(units) ** 2 for units in added.ravel()) > metric.bound_l2_units() ** 2:
        found.append("one person adds more than bound_l2_units")
    if not np.array_equal(with_person, played(metric, slots, area_count, both, cut=1)):
        found.append("tallies depend on how rows are cut into batches")
    return found


def played(metric, slots: Slots, area_count: int, rows, cut: int = 1 << 20) -> np.ndarray:
    """Return i8[slots, areas] of rows (OBSERVATION[n], FIX[n]) of the first local day, `cut` a batch."""
    observations, fixes = rows
    state = metric.build(area_count, slots)
    slot, tallies = slots.of(slots.start_ms), []
    while True:
        now = np.flatnonzero(observations["time_ms"] // slots.length_ms == slot)
        for first in range(0, len(now), cut):
            state.count(observations[now[first : first + cut]], fixes[now[first : first + cut]])
        tallies.append(state.close())
        if slots.ends_day(slot):
            return np.array(tallies)
        slot += 1
