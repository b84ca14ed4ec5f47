"""The physics of signalling, against slow and obvious answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cohort import rows_of
from simulator.kernels import procedures
from simulator.kernels.order import in_time_order
from simulator.kernels.radio import NO_CELL
from simulator.kernels.timeline import NEVER
from simulator.radio import NET
from simulator.traffic import LAW
from tests import oracles_signalling as oracles


ONE = np.array([(0, 0, 25, 1, 1, 1)], NET).view(np.recarray)[0]


def new_link():
    link = np.zeros(1, procedures.LINK).view(np.recarray)[0]
    link.better_ms[:] = NEVER
    return link


def hear(link, *levels_dbm):
    """Let a link hear cells 0.. at given levels, loudest first; return it."""
    link.heard[:], link.heard_dbm[:] = NO_CELL, -200
    order = np.argsort(-np.array(levels_dbm), kind="stable")
    link.heard[: len(order)], link.heard_dbm[: len(order)] = order, np.array(levels_dbm)[order]
    return link


@settings(deadline=None)  # the first call compiles
@given(st.floats(-160, -20))
def test_levels_map_to_the_codes_of_the_table(dbm):
    assert procedures.rsrp_code(float(dbm)) == oracles.rsrp_code(dbm)


def test_a_timing_advance_is_the_nearest_step_with_the_stated_noise():
    far_m = np.array([120.0, 517.0, 1_903.0, 4_100.0])
    for x_m in far_m:
        ta = [
            procedures.timing_advance(1, person, 0, np.float32(x_m), np.float32(0), ONE)
            for person in range(4000)
        ]
        slant_m = np.hypot(x_m, 23.5)
        error_m = np.array(ta) * 78.07 - slant_m
        assert abs(error_m.mean() - procedures.EXCESS_M) < 3.0  # standard error 0.7 m
        assert abs(error_m.std() - np.sqrt(30**2 + 20**2 + 78.07**2 / 12)) < 3.0
        assert abs(np.median(ta) - oracles.timing_advance(slant_m + 15)) <= 1


@settings(deadline=None)
@given(st.lists(st.floats(-120, -60), min_size=1, max_size=12))
def test_the_filter_halves_the_past_every_200_ms(samples):
    link = new_link()
    for number, dbm in enumerate(samples):
        procedures.smooth(hear(link, dbm), number * 200)
    assert link.level_dbm[0] == pytest.approx(oracles.l3_filtered(samples), abs=1e-3)  # f4


def test_a_longer_pause_counts_as_that_many_samples():
    link = new_link()
    procedures.smooth(hear(link, -80.0), 0)
    procedures.smooth(hear(link, -100.0), 600)
    assert link.level_dbm[0] == pytest.approx(oracles.l3_filtered([-80, -100, -100, -100]), abs=1e-4)


def test_a_cell_no_longer_heard_is_forgotten():
    link = new_link()
    procedures.smooth(hear(link, -80.0, -90.0), 0)
    procedures.smooth(hear(link, -80.0), 200)
    procedures.smooth(hear(link, -80.0, -60.0), 400)
    assert link.level_dbm[0] == pytest.approx(-60.0) and link.count == 2


LEVELS = st.lists(st.lists(st.floats(-110, -70), min_size=3, max_size=3), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(levels=LEVELS, trigger_ms=st.sampled_from([0, 160, 480]), every_ms=st.sampled_from([200, 400, 800]))
def test_event_a3_fires_as_the_clause_tells(levels, trigger_ms, every_ms):
    """Levels are given as filtered already: a look of 200 ms samples would blur them."""
    link, rules, fired = new_link(), np.zeros(1, LAW).view(np.recarray)[0], None
    rules.a3_offset_db, rules.a3_hysteresis_db, rules.time_to_trigger_ms = 2.0, 1.0, trigger_ms
    link.count, link.cell[:3] = 3, [0, 1, 2]
    for look, row in enumerate(np.array(levels, "f4")):
        link.level_dbm[:3] = row
        target = procedures.a3_target(link, 0, look * every_ms, rules)
        if target != NO_CELL:
            fired = look, int(target)
            break
    rounded = np.array(levels, "f4").astype("f8").tolist()
    assert fired == oracles.step_back_one_at_a_time(rounded, 0, 3.0, trigger_ms, every_ms)


def test_an_idle_handset_stays_unless_another_cell_is_3_db_better():
    assert procedures.choose(0, hear(new_link(), -90.0, -87.5)) == 0
    assert procedures.choose(0, hear(new_link(), -90.0, -86.5)) == 1
    assert procedures.choose(5, hear(new_link(), -90.0, -86.5)) == 1
    assert procedures.choose(5, hear(new_link())) == NO_CELL


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 5)), max_size=60, unique=True))
def test_events_come_out_in_the_canonical_order(pairs):
    rows, out = rows_of(len(pairs) + 1), rows_of(len(pairs) + 1)
    rows.events["time_ms"][: len(pairs)] = [5_000 + time_ms for time_ms, _ in pairs]
    rows.events["subscriber"][: len(pairs)] = [subscriber for _, subscriber in pairs]
    rows.x_m[: len(pairs)] = np.arange(len(pairs))
    before = rows.events[: len(pairs)].copy()
    kept, n = in_time_order(rows, len(pairs), 5_000, 5_700, out, 0)
    wanted = oracles.in_order(before[before["time_ms"] < 5_700])
    assert out.events[:n].tobytes() == wanted.tobytes()
    assert rows.events[:kept].tobytes() == before[before["time_ms"] >= 5_700].tobytes()
    assert before[out.x_m[:n].astype(int)].tobytes() == wanted.tobytes()
