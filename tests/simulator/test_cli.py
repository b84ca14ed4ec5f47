"""What the commands say before a run, when it is interrupted, and of what is not there."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from probe.base import jit
from probe.base.clock import HOUR_MS
from probe.base.config import ConfigError
from simulator import cli, report

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
                    "footfall ask and footfall privacy work on it; footfall run --force replaces it"]  # fmt: skip


def test_who_interrupts_before_anything_was_sealed_is_promised_no_answer(tmp_path):
    said = report.interrupted(tmp_path, FIRST * HOUR_MS // 4)
    assert said == ("interrupted at simulated hour 0: 0 releases stored of 0 sealed\n"
                    "footfall run --force replaces it")  # fmt: skip


@pytest.mark.parametrize(("what", "near"), [("crossroads", ""), ("hexagonl", ' (did you mean "hexagonal"?)')])
def test_a_layout_that_is_neither_installed_nor_a_file_is_told_so(what, near):
    found = CliRunner().invoke(cli.layout, ["check", what])
    assert isinstance(found.exception, ConfigError)
    (words,) = found.exception.problems
    assert words.startswith(f'no plugin "{what}"{near}, and no such file; installed: hexagonal, table')
    assert words.endswith("or a CSV file")


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
