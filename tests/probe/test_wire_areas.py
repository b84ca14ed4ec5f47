"""Areas: polygons become bins, and a bad file is told everything at once."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from probe.base.config import ConfigError
from probe.wire import areas
from tests import oracles_people

LEIPZIG = Path(__file__).parents[2] / "../shared/data/leipzig"
TO_GRID = Transformer.from_crs(4326, 3035, always_xy=True)


def square(west, south, size=0.01, **properties):
    ring = [
        [west, south],
        [west + size, south],
        [west + size, south + size],
        [west, south + size],
        [west, south],
    ]
    return feature([ring], **properties)


def feature(coordinates, kind="Polygon", **properties):
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def collection(*features):
    return json.dumps({"type": "FeatureCollection", "features": list(features)})


def problems_of(*features):
    with pytest.raises(ConfigError) as caught:
        areas.from_geojson(collection(*features), "areas.geojson")
    return caught.value.problems


def test_ids_names_and_residents_are_read_and_elsewhere_is_last():
    first = square(10.0, 51.0, area_id="a", name="Aue", residents=120)
    second = square(10.01, 51.0)
    found = areas.from_geojson(collection(first, second), "x")
    assert found.area_id == ["a", "1", "elsewhere"]
    assert found.name == ["Aue", "1", "elsewhere"]
    np.testing.assert_array_equal(found.residents, [120, np.nan, np.nan])
    assert found.elsewhere == 2


def test_the_outermost_bins_are_elsewhere():
    found = areas.from_geojson(collection(square(10.0, 51.0)), "x")
    edge = np.concatenate([found.bins[0], found.bins[-1], found.bins[:, 0], found.bins[:, -1]])
    assert np.all(edge == found.elsewhere) and np.any(found.bins == 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_bin_belongs_to_the_area_that_holds_its_centre(seed):
    """Star-shaped rings with a hole, against a ray crossing test in the grid of pyproj."""
    rng = np.random.Generator(np.random.Philox(seed))
    angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
    reach = rng.uniform(0.5, 1.0, 9)
    outer = np.stack([9 + 0.01 * reach * np.cos(angle), 48 + 0.007 * reach * np.sin(angle)], axis=1)
    inner = [9, 48] + (outer - [9, 48]) * 0.3
    rings = [np.vstack([ring, ring[:1]]) for ring in (outer, inner)]
    try:
        found = areas.from_geojson(collection(feature([ring.tolist() for ring in rings])), "x")
    except ConfigError:
        return  # a wide gap between two angles: the hole leaves the ring
    metres = [np.stack(TO_GRID.transform(*ring.T), axis=1) for ring in rings]
    for row, column in np.ndindex(found.bins.shape):
        x, y = (found.first[0] + column + 0.5) * 100, (found.first[1] + row + 0.5) * 100
        assert (found.bins[row, column] == 0) == oracles_people.inside_rings(metres, x, y)


def test_centres_are_where_the_grid_says():
    found = areas.from_geojson(collection(square(12.3, 51.3, 0.3)), "x")
    latitude, longitude = found.frame.to_degrees(*found.centres())
    east, north = TO_GRID.transform(longitude, latitude)
    row, column = np.indices(found.bins.shape)
    np.testing.assert_allclose(east, (found.first[0] + column + 0.5) * 100, atol=1.0)
    np.testing.assert_allclose(north, (found.first[1] + row + 0.5) * 100, atol=1.0)


def test_every_problem_is_named_at_once():
    found = problems_of(
        square(51.0, 12.0, area_id="swapped"),
        square(10.0, 51.0, area_id="poor", residents=-1),
        square(10.1, 51.0, area_id="text", residents="many"),
        feature([[[10, 51], [10.01, 51.01], [10.01, 51], [10, 51.01], [10, 51]]], area_id="bow"),
        feature([10, 51], "Point", area_id="dot"),
        square(100.0, 51.0, area_id="far"),
        feature([[[10, "x"]]], area_id="odd"),
    )
    words = {
        "swapped": "swapped", "poor": "residents = -1", "text": "residents = 'many'",
        "bow": "Self-intersection", "dot": "needs Polygon", "far": "outside the grid", "odd": "unreadable",
    }  # fmt: skip
    assert len(found) == len(words)
    for (area_id, word), problem in zip(sorted(words.items()), sorted(found), strict=True):
        assert problem.startswith(f'area "{area_id}"') and word in problem


def test_an_overlap_names_both_areas():
    found = problems_of(
        square(10.0, 51.0, area_id="a", name="Aue"), square(10.005, 51.0, area_id="b", name="Berg")
    )
    assert len(found) == 1 and '"b" (Berg) overlaps "a" (Aue)' in found[0]


def test_neighbours_that_share_an_edge_do_not_overlap():
    areas.from_geojson(collection(square(10.0, 51.0), square(10.01, 51.0)), "x")


def test_an_id_given_twice_is_refused():
    assert "given 2 times" in problems_of(square(10.0, 51.0, area_id="a"), square(10.1, 51.0, area_id="a"))[0]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "nul", '{"type": "FeatureCollection", "features": []}', '{"type": "Feature"}',
     '{"type": "FeatureCollection", "features": [{"properties": [1]}]}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_collection_of_areas_is_refused(text):
    with pytest.raises(ConfigError):
        areas.from_geojson(text, "x")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-200, 200) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=8,
)
KINDS = st.sampled_from(["Polygon", "MultiPolygon", "Point", "GeometryCollection", 3])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"properties": st.fixed_dictionaries({"area_id": ANYTHING, "residents": ANYTHING}) | ANYTHING},
            optional={"geometry": st.fixed_dictionaries({"type": KINDS, "coordinates": ANYTHING}) | ANYTHING},
        )
        | ANYTHING,
        max_size=3,
    )
)
def test_hostile_files_raise_only_config_errors(features):
    with pytest.raises(ConfigError):
        areas.from_geojson(json.dumps({"type": "FeatureCollection", "features": features}), "x")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        areas.read(tmp_path / "none.geojson")


def test_an_area_too_small_for_a_centre_gets_the_bin_it_lies_in():
    found = areas.from_geojson(collection(square(10.0, 51.0, 0.0002), square(10.1, 51.1)), "x")
    assert np.sum(found.bins == 0) == 1


def test_too_small_an_area_beside_another_is_refused():
    large = square(10.0, 51.0)
    hole = [[10.0, 51.0], [10.01, 51.0], [10.01, 51.01], [10.0, 51.01], [10.0, 51.0]]
    tiny = square(10.0049, 51.0051, 0.0001, area_id="tiny")
    large["geometry"]["coordinates"] = [hole, tiny["geometry"]["coordinates"][0][::-1]]
    (found,) = problems_of(large, tiny)
    assert "overlaps" in found or "smaller than a bin" in found


def test_the_digest_follows_ids_and_bins():
    def digest(*features):
        return areas.from_geojson(collection(*features), "x").digest

    plain = digest(square(10.0, 51.0, area_id="a"))
    assert plain == digest(square(10.0, 51.0, area_id="a", name="other"))
    assert plain != digest(square(10.0, 51.0, area_id="b"))
    assert plain != digest(square(10.0, 51.01, area_id="a"))


@pytest.mark.skipif(not LEIPZIG.exists(), reason="needs ../shared/data/leipzig")
def test_leipzig_is_read_whole():
    found = areas.read(LEIPZIG / "districts.geojson")
    assert len(found.area_id) == 64 and np.nansum(found.residents) == 628_718
    assert set(np.unique(found.bins)) == set(range(64))
    assert len(areas.read(LEIPZIG / "shops.geojson").area_id) == 15
