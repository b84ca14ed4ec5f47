"""What the edge states of an area before anyone was counted: by construction, and held against the truth of a world."""

import numpy as np
import pytest

from benchmarks import windows
from collector.edge import plan as edge_plan, resolve
from collector.edge.kernels import standing
from collector.edge.locators.fixes import UNITS
from collector.edge.locators.ranges import Ranges
from probe.wire import areas
from probe.wire.observations import NO_PCI, NO_RSRP, NO_TA, OBSERVATION
from tests.collector.edge.country_locate import hexagons, squares

PLAN = hexagons(3, 500.0)


class Says:
    """A locator that says the same of everyone: piece and weight, the rest far away."""

    def __init__(self, *said):
        self.said = said

    def locate(self, observations, fixes):
        fixes["area"] = 0xFFFF
        for k, (piece, weight) in enumerate(self.said):
            fixes["area"][:, k], fixes["weight"][:, k] = piece, weight


def hits(size_m, grade="trace", plan=PLAN):
    return resolve.hits(plan, *own(squares(2, size_m)), Ranges().build(plan, squares(2, size_m)), grade)[:-1]


def own(one):
    return one, np.arange(len(one.area_id), dtype="u2")


def heard(grade, n=400, plan=PLAN):
    seen, known = np.zeros(n, OBSERVATION), edge_plan.read(plan, squares(2, 500))
    x_m, y_m = (np.linspace(-700.0, 700.0, n) for _ in "xy")
    standing.observe(x_m, y_m, 0.0, known, resolve.GRADES.index(grade), seen)
    return x_m, y_m, known, seen


def test_the_hit_is_the_weight_in_the_area_of_the_set_not_in_the_piece():
    """Pieces 0 and 1 are one area, 2 and 3 another; everyone is said to be 48 parts in the first."""
    pieces, rows = squares(2, 500), np.array([0, 0, 1, 1, 2], "u2")
    found = resolve.hits(PLAN, pieces, rows, Says((0, 32), (1, 16), (3, 16)), "trace")
    np.testing.assert_array_equal(found, [48 / UNITS, 16 / UNITS, 0])


def test_of_two_sets_each_has_its_own_hits():
    pieces, rows = areas.overlay([squares(2, 1_000), squares(4, 500)])
    locator = Ranges().build(PLAN, pieces)
    wide, narrow = (resolve.hits(PLAN, pieces, of, locator, "trace")[:-1] for of in rows)
    assert len(wide) == 4 and len(narrow) == 16 and wide.min() > narrow.max()


def test_wider_areas_nearer_sites_and_better_grades_hit_better():
    assert hits(300).mean() + 0.1 < hits(600).mean() < hits(1_200).mean() - 0.05
    assert hits(600, plan=hexagons(3, 1_000.0)).mean() + 0.1 < hits(600).mean()
    core, trace, mdt = (hits(600, grade).mean() for grade in resolve.GRADES)
    assert core + 0.1 < trace < mdt - 0.02


def test_the_same_question_has_the_same_answer():
    np.testing.assert_array_equal(hits(400, "mdt"), hits(400, "mdt"))


def test_an_area_of_one_bin_is_asked_on_it():
    one = squares(1, 100)
    found = resolve.hits(PLAN, *own(one), Says((0, UNITS)), "core")
    np.testing.assert_array_equal(found, [1, 0])


@pytest.mark.parametrize("grade", resolve.GRADES)
def test_what_is_heard_is_what_the_grade_hears(grade):
    *_, known, seen = heard(grade)
    assert np.all(known.cells["mast"][seen["cell"]] >= 0)
    assert np.all((seen["ta"] == NO_TA) == (grade == "core"))
    assert np.all((seen["rsrp"][:, 0] == NO_RSRP) == (grade != "mdt"))
    np.testing.assert_array_equal(seen["rsrp"][:, 1:] == NO_RSRP, seen["neighbour_pci"] == NO_PCI)
    if grade == "mdt":
        assert np.all(np.diff(seen["rsrp"].astype(int), axis=1) * (seen["rsrp"][:, 1:] != NO_RSRP) <= 0)
        assert (seen["rsrp"] != NO_RSRP).sum(axis=1).mean() > 4


def test_timing_is_range_a_detour_and_noise():
    """N(15, 35) m over the slant range, rounded to 78.07 m: 42 m in all."""
    x_m, y_m, known, seen = heard("trace", 4_000)
    cell = known.cells[seen["cell"]]
    range_m = np.hypot(np.hypot(x_m - cell["x_m"], y_m - cell["y_m"]), cell["height_m"] - 1.5)
    late_m = seen["ta"] * 78.07 - range_m
    assert late_m.mean() == pytest.approx(15, abs=3) and late_m.std() == pytest.approx(41.6, rel=0.06)


def test_every_carrier_that_covers_is_used_alike_and_mostly_of_a_near_mast():
    x_m, y_m, known, seen = heard("core", 4_000)
    cell = known.cells[seen["cell"]]
    assert np.mean(cell["carrier"] == 0) == pytest.approx(0.5, abs=0.05)
    assert np.median(np.hypot(x_m - cell["x_m"], y_m - cell["y_m"])) < 300


@pytest.mark.parametrize("grade", ["core", "trace", "mdt"])
def test_what_is_stated_is_what_a_world_measures(grade):
    """The edge knows nothing of the world; the limit is told apart where the truth is not beside it."""
    found = list(windows.grid((grade,), (500,), (200, 400, 800), handsets=16_000, hours=1))
    of = {name: sum(line[name] for line in found) for name in ("windows", "refused", "should_be", "clearly")}
    assert all(abs(line["stated"] - line["measured"]) < 0.07 for line in found) and of["windows"] > 100
    assert of["clearly"] <= 0.04 * of["windows"] and abs(of["refused"] - of["should_be"]) <= 0.15 * of["windows"]
    assert found[-1]["refused"] == 0 and found[-1]["windows"] == 36


def test_the_cost_of_a_set_is_said_in_words():
    one = squares(3, 500)
    words = resolve.cost("shops", one, squares(4, 500), {"presence@shops": 10, "dwell@shops": 1_500}, 0.15, 54)
    assert words == ('area set "shops": 9 areas; fixes tell 17 pieces of all sets apart; 1,510 cells '
                     "(presence@shops 10, dwell@shops 1,500); 54 bytes more a person at the edge; "
                     "0.15 of the daily budget")  # fmt: skip
