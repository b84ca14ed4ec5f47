"""What the commands say before a run, when it is interrupted, and of what is not there."""

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from probe.base import jit
from probe.base.clock import HOUR_MS
from probe.base.config import ConfigError
from simulator import cli, report, scenario

FIRST = 1_976_152  # slot of 2026-05-12T00:00+02:00


def releases(path, slots):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE release (slot)")
        db.executemany("INSERT INTO release VALUES (?)", [(FIRST + slot,) for slot in slots])


def test_an_interrupted_run_says_how_far_it_came_and_what_can_be_done(tmp_path):
    releases(tmp_path / "spool.db", range(21))
    releases(tmp_path / "store.db", range(18))
    said = report.interrupted(tmp_path, FIRST * HOUR_MS // 4).splitlines()
    assert said == ["interrupted at simulated hour 5.25: 18 releases stored of 21 sealed, "
                    f"the others stay sealed in {tmp_path}/spool.db",
                    "footfall ask and footfall privacy work on it; "
                    f"footfall run --out {tmp_path} --force replaces it"]  # fmt: skip


def test_who_interrupts_before_anything_was_sealed_is_promised_no_answer(tmp_path):
    said = report.interrupted(tmp_path, FIRST * HOUR_MS // 4)
    assert said == ("interrupted at simulated hour 0: 0 releases stored of 0 sealed\n"
                    f"footfall run --out {tmp_path} --force replaces it")  # fmt: skip


@pytest.mark.parametrize(("what", "near"), [("crossroads", ""), ("hexagonl", ' (did you mean "hexagonal"?)')])
def test_a_layout_that_is_neither_installed_nor_a_file_is_told_so(what, near):
    found = CliRunner().invoke(cli.layout, ["check", what])
    assert isinstance(found.exception, ConfigError)
    (words,) = found.exception.problems
    assert words.startswith(f'no plugin "{what}"{near}, and no such file; installed: hexagonal, table')
    assert words.endswith("or a CSV file")


def stage(**sets):
    """A stage of area sets by name: {area: hit}, elsewhere last."""
    named = {name.replace("first", ""): SimpleNamespace(name=[*areas]) for name, areas in sets.items()}
    hits = {name.replace("first", ""): [[*areas.values()], []] for name, areas in sets.items()}
    return SimpleNamespace(costs=lambda: ["a cost"], scenario=SimpleNamespace(sets=named), hits=hits)


def test_what_is_foreseen_names_the_areas_that_will_be_unresolved():
    said = report.foreseen(stage(first={"a": 0.9, "elsewhere": 0.1}, shops={"b": 0.5, "c": 0.49, "elsewhere": 0.1}))
    assert said == ["a cost", 'area set "shops": unresolved, less than half of a fix would lie in it: c']
    many = {str(number): 0.2 for number in range(13)}
    assert report.foreseen(stage(first={"a": 1.0}, shops=many))[1].endswith(": 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more")


def test_two_areas_of_one_name_are_told():
    one = stage(first={"a": 1.0, "elsewhere": 1.0})
    one.scenario.sets[""].name = ["Kiosk", "Markt", "Kiosk", "elsewhere"]
    assert report.foreseen(one)[1:] == ["areas: more than one has this name, ask by area_id: Kiosk"]


def test_a_check_says_what_a_second_set_costs(tmp_path):
    (path := tmp_path / "shops.geojson").write_text(scenario.load("village", []).area_texts[""][0])
    sets = (f'areas.second={{name="shops", path="{path}"}}', 'collector.tables=["presence", "dwell@shops"]',
            'privacy.shares={"dwell@shops"=0.1}')  # fmt: skip
    said = CliRunner().invoke(cli.scenario, ["check", "village", *(word for one in sets for word in ("--set", one))])
    assert said.exit_code == 0, said.exception
    assert 'area set "shops": 9 areas' in said.output and "0.1 of the daily budget" in said.output


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty compile cache."""
    monkeypatch.setenv("FOOTFALL_CACHE_DIR", str(tmp_path))
    jit.cache_dir.cache_clear()
    yield tmp_path
    jit.cache_dir.cache_clear()


def test_compiling_is_spoken_of_only_where_nothing_is_kept(cache):
    assert "compiles" in cli.starting()
    for room in ("simulator", "collector/edge"):
        kept = jit.cache_dir(Path(jit.__file__).parents[2] / room / "kernels") / "kernels_1"
        kept.mkdir(parents=True)
        (kept / "x.nbc").touch()
    assert cli.starting() == "starting"
