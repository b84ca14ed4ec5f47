"""Points become areas, and masses become 64 units."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.edge.kernels import bins
from collector.edge.locators.fixes import FIX, NO_AREA
from collector.edge.plan import Ground
from probe.base.plane import to_laea
from tests import oracles_locate as oracles
from tests.collector.edge import country_locate as country


def units_of(mass, area):
    fix = np.zeros(1, FIX)
    bins.keep_six(np.array(mass, "f8"), np.array(area, "u2"), len(mass), fix[0])
    used = fix["weight"][0] > 0
    assert (fix["area"][0][~used] == NO_AREA).all()
    return dict(zip(fix["area"][0][used].tolist(), fix["weight"][0][used].tolist(), strict=True))


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.integers(0, 1_000), max_size=20), st.randoms())
def test_64_units_go_by_largest_remainder_to_the_six_heaviest(mass, order):
    area = list(range(100, 100 + len(mass)))
    order.shuffle(area)
    assert units_of(mass, area) == oracles.largest_remainder(mass, area)


def test_worked_by_hand():
    """A third each: 21.33 units, the one left over goes to the lowest area."""
    assert units_of([1, 1, 1], [9, 4, 7]) == {4: 22, 7: 21, 9: 21}


def test_an_area_is_the_one_of_the_bin_of_the_point():
    areas = country.squares(residents=None)
    ground = Ground(areas.bins, areas.first, areas.terms, bins.normal_points())
    at = np.random.Generator(np.random.PCG64(3)).uniform(-4_000, 4_000, (400, 2))
    east, north = to_laea(*country.FRAME.to_degrees(at[:, 0], at[:, 1]))
    for (x, y), e, n in zip(at, east / 100, north / 100, strict=True):
        row, column = int(n) - areas.first[1], int(e) - areas.first[0]
        inside = 0 <= row < areas.bins.shape[0] and 0 <= column < areas.bins.shape[1]
        wanted = areas.bins[row, column] if inside else areas.elsewhere
        near_an_edge = min(e % 1, 1 - e % 1, n % 1, 1 - n % 1) < 0.01  # bin_terms is true to a metre
        assert near_an_edge or bins.area_at(x, y, ground) == wanted


def test_the_64_points_are_a_standard_normal():
    """Half of a plane normal lies within 1.1774; 64 points tell it to two points."""
    points = bins.normal_points()
    assert np.allclose(points.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(np.cov(points.T, bias=True), np.eye(2), atol=1e-4)
    assert abs((np.hypot(*points.T) < 1.1774).sum() - 32) <= 2
