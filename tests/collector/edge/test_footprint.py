"""The tables of a cell are what a slow recount over its bins gives."""

import numpy as np
import pytest

from collector.edge import plan as edge_plan
from collector.edge.kernels import footprint
from tests import oracles_locate as oracles
from tests.collector.edge import country_locate as country


@pytest.fixture(scope="module")
def made():
    plan = country.hexagons(rings=1, carriers_mhz=(1_800,))  # 7 masts: every tile looks at all
    areas = country.squares(side=8, size_m=500, residents=np.linspace(500, 6_000, 64))
    known = edge_plan.read(plan, areas)
    return plan, areas, known, edge_plan.tables(known)


def footprint_of(cell, plan, areas, known):
    """Return x, y, slant range, weight and area of every bin, by the oracle."""
    grid, shape = edge_plan.grid_over(known.masts)
    i, j = (a.ravel() for a in np.indices(shape))
    x, y = grid.x_m + (j + 0.5) * grid.step_m, grid.y_m + (i + 0.5) * grid.step_m
    cell_x, cell_y = country.FRAME.to_xy(plan["latitude"], plan["longitude"])
    level, range_m = oracles.level_dbm(plan, cell_x, cell_y, x, y)
    site = np.unique(plan["site_id"], return_inverse=True)[1]
    one = np.ones(len(x))
    terms = areas.terms @ np.stack([one, x, y, x * x, x * y, y * y])
    column, row = (np.floor(t).astype(int) - f for t, f in zip(terms, areas.first, strict=True))
    inside = (row >= 0) & (column >= 0) & (row < areas.bins.shape[0]) & (column < areas.bins.shape[1])
    area = np.where(inside, areas.bins[row * inside, column * inside], areas.elsewhere)
    covered = oracles.NORMAL((level.max(axis=1) + 118) / 8)
    share = covered / (covered + 1e-3)  # one carrier: whoever is there uses it, unless nothing covers
    w = oracles.chance_to_serve(level, site, np.zeros(len(plan), int), cell) * share * known.density[area]
    w[range_m[:, cell] > known.cells["reach_m"][cell]] = 0
    return x, y, range_m[:, cell], w, area


@pytest.mark.parametrize("cell", [0, 10, 18])
def test_a_cell_and_its_rings_are_where_a_recount_puts_them(made, cell):
    """A fifth of a bin and 2 units: bins under a thousandth of the best are left out, six rounds."""
    plan, areas, known, tables = made
    x, y, range_m, w, area = footprint_of(cell, plan, areas, known)
    first = tables.first[cell]
    for row, ta in ((first, None), (first + 2, 1), (first + 4, 3), (first + 7, 6)):
        here = w if ta is None else w * oracles.timing_chance(ta, range_m)
        fix = tables.fixes[row]
        assert np.hypot(*(np.array(oracles.geometric_median(x, y, here)) - (fix["x_m"], fix["y_m"]))) < 10
        mass = np.bincount(area, here, minlength=len(areas.area_id))
        wanted = oracles.largest_remainder(mass.tolist(), range(len(mass)))
        got = {a: n for a, n in zip(fix["area"].tolist(), fix["weight"].tolist(), strict=True) if n}
        assert sum(abs(wanted.get(a, 0) - got.get(a, 0)) for a in wanted | got) <= 4
        held = here[np.hypot(x - fix["x_m"], y - fix["y_m"]) < fix["r50_m"]].sum() / here.sum()
        assert ta == 1 or abs(held - 0.5) < 0.08  # a bin on the rim is in or out; near the mast there are six


def test_the_chances_of_all_timing_advances_add_up_to_one():
    """Telescoped: what is below the last is one less what lies beyond it."""
    below = [footprint.timing_below(ta, 700.0) for ta in range(40)]
    assert below[-1] == pytest.approx(1.0) and (np.diff(below) >= 0).all()
    assert np.diff(below)[8] == pytest.approx(float(oracles.timing_chance(9, 700.0)), abs=1e-12)


def test_more_people_draw_a_footprint_towards_them(made):
    plan, _, _, tables = made
    flat = edge_plan.tables(edge_plan.read(plan, country.squares(side=8, size_m=500)))
    row = tables.first[10]
    assert tables.fixes[row]["y_m"] > flat.fixes[row]["y_m"]  # the last areas, in the north, hold most people


def test_a_mast_among_fewer_rivals_than_looked_at_still_has_rings():
    plan = country.hexagons(rings=0)
    tables = edge_plan.tables(edge_plan.read(plan, country.squares()))
    assert (tables.fixes["weight"][:-1].sum(axis=1) == 64).all()  # the last row is of no cell
