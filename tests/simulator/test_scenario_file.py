"""Scenarios: the shipped ones stand, settings change what they name, and every problem is told."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from probe.base.config import ConfigError
from simulator import cli, scenario

LEIPZIG = Path(__file__).parents[2] / "../shared/data/leipzig"


def problems_of(name, *sets):
    with pytest.raises(ConfigError) as caught:
        scenario.load(name, list(sets))
    return caught.value.problems


def test_village_and_city_are_what_they_say():
    village, city = scenario.load("village", []), scenario.load("city", [])
    assert (village.handsets, village.areas.elsewhere) == (2_000, 9)
    assert (city.handsets, city.areas.elsewhere) == (100_000, 91)
    for one in (village, city):
        residents = np.nansum(one.areas.residents)
        assert residents * one.population.share == pytest.approx(one.handsets, rel=1e-3)
        assert one.world.start.weekday() == 1 and one.end_ms - one.start_ms == 86_400_000


def test_made_areas_tile_their_map():
    """91 hexagons of 1 km2 hold 9,100 bins but for those whose centre lies beyond the outline."""
    bins = scenario.load("city", []).areas.bins
    count = np.bincount(bins.ravel(), minlength=92)[:-1]
    assert abs(count.sum() - 9_100) < 60 and count.min() > 90 and count.max() < 110


@pytest.mark.skipif(not LEIPZIG.exists(), reason="needs ../shared/data/leipzig")
def test_leipzig_takes_its_files_from_a_folder():
    found = scenario.load("leipzig", [f"data={LEIPZIG}"])
    assert found.handsets == round(628_718 * 0.3) and found.areas.elsewhere == 63
    assert found.layout["path"] == f"{LEIPZIG}/plan_telefonica.csv"


def test_without_its_folder_leipzig_says_what_is_missing():
    found = problems_of("leipzig")
    assert len(found) == 2 and all("--set data=DIR" in problem for problem in found)


def test_settings_change_what_they_name():
    sets = [
        "world.hours=6",
        "world.start=2026-10-25T00:00",
        "population.share=0.5",
        "collector.locator=serving_cell",
    ]
    found = scenario.load("village", [*sets, "layout.rings=2", "traffic.deep.key=[1, 2]"])
    assert found.world.hours == 6 and found.population.share == 0.5
    assert found.world.start.month == 10 and found.collector["locator"] == "serving_cell"
    assert found.layout == {"kind": "hexagonal", "rings": 2, "site_spacing_m": 1_000.0}
    assert found.traffic == {"deep": {"key": [1, 2]}}


def test_another_kind_of_plugin_starts_its_section_afresh():
    found = scenario.load("village", ["layout.path=plan.csv", "layout.kind=table"])
    assert found.layout == {"kind": "table", "path": "plan.csv"}


def test_every_problem_of_every_section_is_named_at_once():
    found = problems_of(
        "village", "world.step_s=7", "world.handsets=-3", "world.hour=2", "world.zone=Mars", "nonsense",
        "world.start=2026-05-12T00:07", "population.share=0", "areas.shape=circles", "probe.grade=mtd",
        "wrld.seed=1", "world.hours=1.3", "slots=5", "areas.zones=[]",
        "data=/no/such/folder", "wor ld.x=1", "slots.a..b=1",
    )  # fmt: skip
    words = [
        "step_s = 7: does not divide 900", "handsets = -3", '"hour" (did you mean "hours"?)', "Mars",
        "--set nonsense", "quarter of an hour", "share = 0", "circles", '(did you mean "mdt"?)',
        '(did you mean "world"?)', "multiple of 0.25", "slots = 5", "zones", "is no folder",
        "--set wor ld.x", "--set slots.a..b",
    ]  # fmt: skip
    for word in words:
        assert sum(word in problem for problem in found) == 1, (word, found)
    assert len(found) == len(words)


def test_an_unknown_scenario_names_what_there_is():
    (found,) = problems_of("vilage")
    assert 'no scenario "vilage" (did you mean "village"?); shipped: city, leipzig, leipzig_shops, village' in found


def test_a_file_of_ones_own_is_read_with_paths_beside_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        '[areas]\npath = "a.geojson"\n[layout]\nkind = "table"\npath = "/p.csv"\n'
        '[propagation]\nkind = "uma"\n'
    )
    found = scenario.load(str(path), [])
    assert found.name == "mine" and found.area.path == str(tmp_path / "a.geojson")
    assert found.layout["path"] == "/p.csv" and found.world == scenario.WorldSettings()
    with pytest.raises(ConfigError, match="does not exist"):
        _ = found.areas


def test_a_broken_file_is_told_where(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("[world\n")
    assert "is not TOML" in problems_of(str(path))[0]
    assert "does not exist" in problems_of(str(tmp_path / "none.toml"))[0]


def test_areas_without_residents_need_a_number_of_handsets():
    found = scenario.load(
        "village", ["world.handsets=0", "areas.zones=[{radius_m=1e5, residents_per_km2=0}]"]
    )
    with pytest.raises(ConfigError, match="say how many handsets"):
        _ = found.handsets


def test_the_commands_list_and_show():
    listed = CliRunner().invoke(cli.scenario, ["list"])
    assert [line.split()[0] for line in listed.output.splitlines()] == ["city", "leipzig", "leipzig_shops", "village"]
    shown = CliRunner().invoke(cli.scenario, ["show", "city"])
    assert "[population]" in shown.output and "assumption" in shown.output


def test_what_is_wrong_with_a_second_area_set_names_the_set(tmp_path):
    square = {"type": "Polygon", "coordinates": [[[10, 51], [10.01, 51], [10.01, 51.01], [10, 51.01], [10, 51]]]}
    twice = [{"type": "Feature", "properties": {"area_id": name}, "geometry": square} for name in "ab"]
    (tmp_path / "shops.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": twice}))
    one = scenario.load("village", ["areas.second.name=shops", f"areas.second.path={tmp_path}/shops.geojson"])
    with pytest.raises(ConfigError, match=r'area set "shops": .*area "b" .* overlaps "a"'):
        _ = one.sets
