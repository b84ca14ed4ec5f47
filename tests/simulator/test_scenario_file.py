"""Scenarios: the shipped ones stand, settings change what they name, and every problem is told."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from probe.base.config import ConfigError
from simulator import cli, scenario
from simulator.population import AGE_SHARES

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
    assert ('no scenario "vilage" (did you mean "village"?); shipped: city, leipzig, leipzig_shops, small_print, '
            'village') in found


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
    names = [line.split()[0] for line in listed.output.splitlines()]
    assert names == ["city", "leipzig", "leipzig_shops", "small_print", "village"]
    shown = CliRunner().invoke(cli.scenario, ["show", "city"])
    assert "[population]" in shown.output and "assumption" in shown.output


def test_what_is_wrong_with_a_second_area_set_names_the_set(tmp_path):
    square = {"type": "Polygon", "coordinates": [[[10, 51], [10.01, 51], [10.01, 51.01], [10, 51.01], [10, 51]]]}
    twice = [{"type": "Feature", "properties": {"area_id": name}, "geometry": square} for name in "ab"]
    (tmp_path / "shops.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": twice}))
    one = scenario.load("village", ["areas.second.name=shops", f"areas.second.path={tmp_path}/shops.geojson"])
    with pytest.raises(ConfigError, match=r'area set "shops": .*area "b" .* overlaps "a"'):
        _ = one.sets


def test_who_agrees_may_depend_on_the_age_and_is_in_all_what_it_was():
    """Where shares by age are given, they are of the purpose that is counted, and their mean is what is said."""
    for name in ("city", *(("leipzig", "leipzig_shops") if LEIPZIG.exists() else ())):
        found = scenario.load(name, [f"data={LEIPZIG}"] if name != "city" else []).population
        share = found.agreed("market_research")
        assert share @ AGE_SHARES == pytest.approx(0.80, abs=0.001) and np.all(np.diff(share) < 0)
        np.testing.assert_array_equal(found.agreed("marketing"), 0.8)


def test_one_consent_share_is_that_of_every_age():
    found = scenario.load("city", ["population.consent_share=0.5"]).population
    np.testing.assert_array_equal(found.agreed("market_research"), 0.5)
    both = ["population.consent_share=0.5", "population.consent_by_age.marketing=[0, 0, 0, 0, 0, 1]"]
    found = scenario.load("city", both).population
    np.testing.assert_array_equal(found.agreed("marketing"), [0, 0, 0, 0, 0, 1])


def test_what_is_wrong_with_shares_by_age_is_named():
    found = problems_of("village", "population.consent_by_age.market_research=[1, 0.5, 2, 0]",
                        "population.consent_by_age.marketting=[1, 1, 1, 1, 1, 1]", "population.late_share=2")
    for words in ("consent_by_age.market_research", "consent_by_age.marketting", "is no purpose", "late_share = 2"):
        assert any(words in problem for problem in found), found
    assert any("six shares" in problem
               for problem in problems_of("village", "population.consent_by_age.network=[0.5]"))


def test_a_yes_in_small_print_is_one_of_nearly_everybody_until_they_learn_of_it():
    small, city = (scenario.load(name, []) for name in ("small_print", "city"))
    assert small.handsets < city.handsets and small.population.agreed("market_research").min() == 0.98
    assert small.population.objecting_share == 10 * city.population.objecting_share and not small.population.late_share
    residents = np.nansum(small.areas.residents)
    assert residents * small.population.share == pytest.approx(small.handsets, rel=1e-3)
