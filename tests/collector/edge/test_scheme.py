"""What is counted where: sets that the rows of persons cannot hold are refused."""

import json

import pytest

from collector.edge import scheme
from collector.edge.crowd import Crowd
from collector.edge.kernels.visits import AREAS_MAX
from collector.edge.slots import Slots, SlotSettings
from probe.base.clock import HOUR_MS
from probe.base.config import ConfigError
from probe.wire import areas

SLOTS = Slots(SlotSettings(zone="UTC"), 0)


def squares(count):
    """An area set of so many squares of 330 m."""
    def square(k):
        west, south = 12 + 0.005 * (k % 91), 51 + 0.003 * (k // 91)
        ring = [[west, south], [west + 0.005, south], [west + 0.005, south + 0.003], [west, south + 0.003],
                [west, south]]
        return {"type": "Feature", "properties": {"area_id": str(k)},
                "geometry": {"type": "Polygon", "coordinates": [ring]}}
    return areas.from_geojson(json.dumps({"type": "FeatureCollection", "features": [*map(square, range(count))]}), "x")


def test_a_set_of_more_areas_than_an_entry_holds_is_refused():
    few, many = squares(4), squares(AREAS_MAX + 1)
    with pytest.raises(ConfigError) as caught:
        scheme.read({"": few, "shops": many}, ["presence"], SLOTS, 24 * HOUR_MS)
    (words,) = caught.value.problems
    assert "areas shops: 8,191 areas" in words and "at most 8,190; join small ones" in words
    most = scheme.read({"": squares(AREAS_MAX)}, ["presence", "dwell"], SLOTS, 24 * HOUR_MS)
    assert len(most.rows[0]) == AREAS_MAX + 1
    Crowd(SLOTS, most.rows, most.zones)


@pytest.mark.parametrize(("name", "near"), [("dwel@shops", "dwell@shops"), ("presence@shop", "presence@shops"),
                                            ("dwel@shop", "dwell@shops"), ("presense", "presence")])  # fmt: skip
def test_a_misspelt_table_of_any_set_is_told_the_nearest(name, near):
    with pytest.raises(ConfigError, match=f'no table "{name}" .did you mean "{near}"'):
        scheme.read({"": squares(4), "shops": squares(2)}, [name], SLOTS, 24 * HOUR_MS)
