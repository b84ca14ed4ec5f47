"""The lateness buffer: order, lateness and independence of arrival."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from collector.edge.merge import BATCH_MIN, Merge
from probe.wire.observations import OBSERVATION


def rows(*times_and_persons):
    found = np.zeros(len(times_and_persons), OBSERVATION)
    for i, (time_ms, person, kind) in enumerate(times_and_persons):
        found[i]["time_ms"], found[i]["pseudonym"], found[i]["kind"] = time_ms, person, kind
    return found


def listed(found):
    return [tuple(row) for row in found[["time_ms", "pseudonym", "kind"]].tolist()]


some = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.integers(1, 4)), max_size=30)


@given(some, st.randoms(use_true_random=False))
def test_rows_leave_in_one_order_however_they_arrived(found, order):
    mixed = list(found)
    order.shuffle(mixed)
    merge = Merge(0, 60)
    for row in mixed:
        merge.take(rows(row), 0)
    merge.take(rows(), 1_000)
    assert listed(merge.before(merge.bound_ms)) == sorted(found)


def test_a_person_of_two_handsets_has_one_order_in_a_millisecond():
    """Pseudonyms that agree in all bits of the sort key are told apart by the rest."""
    found = [(5, (7 << 44) + low, kind) for low in (1, 2) for kind in (3, 10)]
    merge = Merge(0, 0)
    merge.take(rows(*reversed(found)), 6)
    assert listed(merge.before(6)) == found


def test_what_comes_after_the_bound_is_late_and_what_comes_at_it_is_not():
    merge = Merge(0, 60)
    merge.take(rows((10, 1, 3)), 160)
    merge.take(rows((99, 1, 3), (100, 1, 3)), 160)
    assert merge.late == 1 and merge.waiting == 2
    assert listed(merge.before(100)) == [(10, 1, 3)] and merge.waiting == 1


def test_a_watermark_that_goes_back_changes_nothing():
    merge = Merge(0, 60)
    merge.take(rows(), 160)
    merge.take(rows(), 50)
    assert merge.bound_ms == 100


def test_a_full_buffer_is_not_sorted_again_for_every_batch():
    merge = Merge(0, 60)
    merge.take(np.zeros(BATCH_MIN, OBSERVATION), 60)
    assert merge.waiting >= merge.enough
    merge.before(0)
    assert merge.enough > merge.waiting == BATCH_MIN


def test_what_has_left_is_zeroed():
    """A pseudonym must not outlive its day in a corner of the buffer."""
    merge = Merge(0, 0)
    merge.take(rows(*((i, 1 + i, 3) for i in range(100))), 90)
    old = merge._rows
    assert len(merge.before(90)) == 90 and merge.waiting == 10
    kept = merge._rows
    assert kept[:10].view("u1").any() and not kept[10:].view("u1").any() and not old.view("u1").any()
    merge.take(np.repeat(rows((95, 1, 3)), 1 << 15), 96)
    assert merge._rows is not kept and not kept.view("u1").any()
