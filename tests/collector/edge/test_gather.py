"""Partial tallies: summed once every worker has passed a slot, whatever the order of arrival."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.edge import seal
from collector.edge.seal import Gather
from probe.base.packing import WireError, pack

ROWS = 3
EXPECTED = {1: (ROWS, list(range(10, 16))), 5: (1, [10, 14])}  # by slot, and by four of them


def part(worker, slot, epoch=1):
    return seal.encode(worker, 1, slot, np.array([1, slot, -worker], "i8"), (slot + 1) * 900_000, epoch)


def long_part(worker, slot):
    return seal.encode(worker, 5, slot, np.array([worker], "i8"), (slot + 4) * 900_000, 1)


@given(st.integers(1, 4), st.randoms(use_true_random=False))
def test_the_order_of_workers_changes_nothing(workers, random):
    """Not even in which order slots of several tables are sealed: it is that of each worker."""
    gathered, whole = Gather(workers, EXPECTED), []
    queues = [
        [frame for slot in range(10, 16)
         for frame in ([part(worker, slot)] + [long_part(worker, slot - 3)] * (slot == 13))]
        for worker in range(workers)
    ]  # fmt: skip
    while any(queues):
        whole += gathered.add(random.choice([queue for queue in queues if queue]).pop(0))
    assert [[one.table, one.slot] for one in whole] == [[1, 10], [1, 11], [1, 12], [1, 13], [5, 10], [1, 14], [1, 15]]
    for table, slot, tally, epoch in whole:
        each = [workers, workers * slot, -sum(range(workers))]
        assert tally.tolist() == (each if table == 1 else [sum(range(workers))]) and epoch == 1
    assert gathered.watermark_ms == 16 * 900_000


def test_a_slot_waits_for_the_slowest_worker():
    gathered = Gather(2, EXPECTED)
    assert gathered.add(part(0, 10)) == [] and gathered.watermark_ms == 0
    assert len(gathered.add(part(1, 10))) == 1


def test_a_slot_that_a_worker_leapt_over_is_lost():
    gathered = Gather(2, EXPECTED)
    assert gathered.add(part(0, 10)) == gathered.add(part(0, 11)) == []
    (_, first, none, _), (_, second, tally, _) = gathered.add(part(1, 11))
    assert (first, none, second) == (10, None, 11) and tally is not None


@given(st.permutations(range(3)), st.lists(st.integers(0, 99), min_size=3, max_size=3))
def test_a_slot_states_the_lowest_epoch_of_its_workers_whoever_came_first(order, epochs):
    gathered = Gather(3, EXPECTED)
    *none, (whole,) = [gathered.add(part(worker, 10, epochs[worker])) for worker in order]
    assert none == [[], []] and whole.epoch == min(epochs)


WRONG = {
    "twice": part(0, 10),
    "before the start": part(1, 9),
    "after the end": part(1, 16),
    "a slot that begins no span": long_part(1, 11),
    "unknown worker": part(2, 12),
    "other table": seal.encode(0, 2, 12, np.zeros(ROWS, "i8"), 0, 1),
    "other area set": seal.encode(0, 1, 12, np.zeros(ROWS + 1, "i8"), 0, 1),
    "other version": pack(["footfall.partial", 2, 0, 1, 12, bytes(8 * ROWS), 0, 1]),
    "other format": pack(["footfall.events", 1, 0, 1, 12, bytes(8 * ROWS), 0, 1]),
    "an epoch before the first": part(1, 10, -1),
    "no word of an epoch": pack(["footfall.partial", 1, 1, 1, 10, bytes(8 * ROWS), 0]),
    "no message": b"",
}


@pytest.mark.parametrize("frame", WRONG.values(), ids=WRONG)
def test_what_is_foreign_twice_or_out_of_order_is_refused(frame):
    gathered = Gather(2, EXPECTED)
    gathered.add(part(0, 10))
    with pytest.raises(WireError):
        gathered.add(frame)


@given(st.binary(max_size=100))
def test_hostile_bytes_raise_only_wire_errors(frame):
    with pytest.raises(WireError):
        Gather(1, EXPECTED).add(frame)
