"""Several area sets as one, and zones of areas: nothing is lost, and every rule is told."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.base.config import ConfigError
from probe.base.plane import BIN_M, to_laea
from probe.wire import areas

LEIPZIG = Path(__file__).parents[2] / "../shared/data/leipzig"
STEP = 0.004  # degrees: 280 m by 440 m, some bins


def square(column, row, width=1, height=1, **properties):
    west, south, east, north = 12 + STEP * np.array([column, row, column + width, row + height])
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    properties = {"area_id": f"{column}.{row}", "residents": 100} | properties
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def shifted(feature, degrees):
    rings = feature["geometry"]["coordinates"]
    moved = [[[x + degrees, y + 39.3] for x, y in ring] for ring in rings]
    return feature | {"geometry": {"type": "Polygon", "coordinates": moved}}


def read(*features, east=0.0):
    text = json.dumps({"type": "FeatureCollection", "features": [shifted(one, east) for one in features]})
    return areas.from_geojson(text, "x")


def chequered(columns, rows, **properties):
    return [square(x, y, **properties) for x in range(columns) for y in range(rows)]


def row_at(one, column, row):
    """Return the row of a set in a bin of the grid, elsewhere off its raster."""
    here, rows, columns = (row - one.first[1], column - one.first[0]), *one.bins.shape
    inside = 0 <= here[0] < rows and 0 <= here[1] < columns
    return int(one.bins[here]) if inside else one.elsewhere


def test_one_set_is_its_own_pieces():
    one = read(*chequered(2, 2))
    pieces, (rows,) = areas.overlay([one])
    assert pieces is one and rows.dtype == np.dtype("u2") and list(rows) == [0, 1, 2, 3, 4]


CELLS = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(CELLS, st.integers(-3, 3)), min_size=2, max_size=3))
def test_every_bin_keeps_its_area_of_every_set(drawn):
    sets = [read(*(square(*cell) for cell in sorted(cells)), east=shift * 0.0017) for cells, shift in drawn]
    pieces, rows = areas.overlay(sets)
    assert len(pieces.area_id) == len(set(pieces.area_id)) == len(rows[0]) and pieces.frame == sets[0].frame
    assert sorted(np.unique(pieces.bins)) == list(range(len(pieces.area_id)))
    for (row, column), piece in np.ndenumerate(pieces.bins):
        at = pieces.first[0] + column, pieces.first[1] + row
        assert [int(of[piece]) for of in rows] == [row_at(one, *at) for one in sets]
    assert [int(of[pieces.elsewhere]) for of in rows] == [one.elsewhere for one in sets]
    edge = np.concatenate([pieces.bins[0], pieces.bins[-1], pieces.bins[:, 0], pieces.bins[:, -1]])
    assert np.all(edge == pieces.elsewhere)
    for one, of in zip(sets, rows, strict=True):  # no area loses a bin
        mine = np.bincount(of[pieces.bins.ravel()], minlength=len(one.area_id))[:-1]
        assert list(mine) == list(np.bincount(one.bins.ravel())[:-1])


def test_residents_are_shared_by_bins_and_none_are_invented():
    first = read(square(0, 0, 2, 2, residents=900), square(4, 0, residents=50))
    pieces, rows = areas.overlay([first, read(square(1, 1, 2, 2, residents=7))])
    assert np.nansum(pieces.residents) == pytest.approx(950)
    size = np.bincount(pieces.bins.ravel())
    cut = [row for row in range(len(size)) if rows[0][row] == 0]
    assert len(cut) == 2 and np.ptp(pieces.residents[cut] / size[cut]) == pytest.approx(0)
    assert np.isnan(pieces.residents[rows[0] == first.elsewhere]).all()


def test_a_place_lies_in_the_same_bin_of_the_pieces():
    """The second set is 20 km away: the terms of the pieces are those of the first frame, made for the longer reach."""
    first = read(*chequered(3, 3))
    pieces, _ = areas.overlay([first, read(square(0, 0), east=0.3)])
    x, y = (at.ravel() for at in pieces.centres())
    found = np.stack(to_laea(*pieces.frame.to_degrees(x, y))) / BIN_M
    row, column = (at.ravel() for at in np.indices(pieces.bins.shape))
    wanted = np.stack([pieces.first[0] + column, pieces.first[1] + row]) + 0.5
    np.testing.assert_allclose(found, wanted, atol=0.02)


def test_sets_far_apart_and_too_many_pieces_are_refused(monkeypatch):
    one, two = read(*chequered(3, 3)), read(*chequered(3, 3), east=0.002)
    with pytest.raises(ConfigError, match="span more than 200 km together"):
        areas.overlay([one, read(square(0, 0), east=4)])
    monkeypatch.setattr(areas, "AREAS_MAX", 10)
    with pytest.raises(ConfigError, match="pieces; at most 10"):
        areas.overlay([one, two])


def test_the_digest_of_the_pieces_follows_both_sets():
    one, two, three = read(square(0, 0)), read(square(1, 0)), read(square(1, 0, area_id="other"))
    digests = {areas.overlay(sets)[0].digest for sets in ([one, two], [one, three], [two, one], [one])}
    assert len(digests) == 4


def test_few_areas_are_their_own_zones():
    one = read(*chequered(3, 13, zone="all"))
    zone, named = areas.zones(one)
    assert zone.dtype == np.dtype("u1") and list(zone) == list(range(40))
    assert named == list(zip(one.area_id, one.name, strict=True))


def test_the_file_says_the_zones_of_many_areas():
    one = read(*(square(x, y, zone=["West", 7, "East"][x // 3]) for x in range(9) for y in range(5)))
    zone, named = areas.zones(one)
    assert named == [("West", "West"), ("7", "7"), ("East", "East"), ("elsewhere", "elsewhere")]
    assert list(zone) == [*[0] * 15, *[1] * 15, *[2] * 15, 3]


@pytest.mark.parametrize("given", [[*range(45)], ["a"] * 44 + [None], ["elsewhere"] * 45], ids=["many", "one", "taken"])
def test_zones_too_many_or_missing_or_taken_are_refused(given):
    one = read(*(square(k % 9, k // 9, zone=name) for k, name in enumerate(given)))
    with pytest.raises(ConfigError, match="needs 1 to 39, one for each area"):
        areas.zones(one)


@settings(max_examples=20, deadline=None)
@given(st.integers(4, 12), st.integers(10, 14))
def test_halving_makes_32_zones_of_as_many_areas_that_hang_together(columns, rows):
    one = read(*chequered(columns, rows))
    zone, named = areas.zones(one)
    assert len(named) == 33 and len(set(named)) == 33 and named[-1] == ("elsewhere", "elsewhere")
    size = np.bincount(zone)
    assert zone[-1] == 32 and size[32] == 1 and np.ptp(size[:32]) <= 1
    at = np.array([[int(part) for part in area_id.split(".")] for area_id in one.area_id[:-1]])
    for number in range(32):
        mine = at[zone[:-1] == number]
        assert np.ptp(mine, axis=0).max() <= 5 and named[number][1].startswith(f"zone {number + 1:02d}: ")


def test_a_zone_says_two_names_and_how_many_more():
    one = read(*chequered(8, 16, name="Aue"))
    assert areas.zones(one)[1][0] == ("z01", "zone 01: Aue, Aue and 2 more")


@pytest.mark.skipif(not LEIPZIG.exists(), reason="needs ../shared/data/leipzig")
def test_leipzig_districts_under_its_shops():
    sets = [areas.read(LEIPZIG / f"{name}.geojson") for name in ("districts", "shops")]
    pieces, rows = areas.overlay(sets)
    assert [set(of) for of in rows] == [set(range(64)), set(range(15))] and len(pieces.area_id) < 110
    assert np.nansum(pieces.residents) == pytest.approx(628_718)
    assert len(areas.zones(sets[0])[1]) == 33
