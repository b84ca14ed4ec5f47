"""Partial tallies: summed once every worker has passed a slot, whatever the order of arrival."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.edge import seal
from collector.edge.seal import Gather
from probe.base.packing import WireError, pack

ROWS = 3


def part(worker, slot, first=1):
    return seal.encode(worker, 1, slot, np.array([first, slot, -worker], "i8"), (slot + 1) * 900_000)


@given(st.integers(1, 4), st.randoms(use_true_random=False))
def test_the_order_of_workers_changes_nothing(workers, random):
    gathered, whole = Gather(workers, ROWS, 1, 10), []
    queues = [[part(worker, slot) for slot in range(10, 16)] for worker in range(workers)]
    while any(queues):
        gathered.add(random.choice([queue for queue in queues if queue]).pop(0))
        whole += gathered.whole()
    assert [slot for slot, _ in whole] == list(range(10, 16))
    for slot, tally in whole:
        assert tally.tolist() == [workers, workers * slot, -sum(range(workers))]
    assert gathered.watermark_ms == 16 * 900_000


def test_a_slot_waits_for_the_slowest_worker():
    gathered = Gather(2, ROWS, 1, 10)
    gathered.add(part(0, 10))
    assert gathered.whole() == [] and gathered.watermark_ms == 0
    gathered.add(part(1, 10))
    assert len(gathered.whole()) == 1


def test_a_slot_that_a_worker_leapt_over_is_lost():
    gathered = Gather(2, ROWS, 1, 10)
    for frame in (part(0, 10), part(0, 11), part(1, 11)):
        gathered.add(frame)
    (first, none), (second, tally) = gathered.whole()
    assert (first, none, second) == (10, None, 11) and tally is not None


WRONG = {
    "twice": part(0, 10),
    "before the start": part(1, 9),
    "unknown worker": part(2, 12),
    "other table": seal.encode(0, 2, 12, np.zeros(ROWS, "i8"), 0),
    "other area set": seal.encode(0, 1, 12, np.zeros(ROWS + 1, "i8"), 0),
    "other version": pack(["footfall.partial", 2, 0, 1, 12, bytes(8 * ROWS), 0]),
    "other format": pack(["footfall.events", 1, 0, 1, 12, bytes(8 * ROWS), 0]),
    "no message": b"",
}


@pytest.mark.parametrize("frame", WRONG.values(), ids=WRONG)
def test_what_is_foreign_twice_or_out_of_order_is_refused(frame):
    gathered = Gather(2, ROWS, 1, 10)
    gathered.add(part(0, 10))
    with pytest.raises(WireError):
        gathered.add(frame)


@given(st.binary(max_size=100))
def test_hostile_bytes_raise_only_wire_errors(frame):
    with pytest.raises(WireError):
        Gather(1, ROWS, 1, 10).add(frame)
