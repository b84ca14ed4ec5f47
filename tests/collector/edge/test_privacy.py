"""The page of what was promised: every table on it, its figures recomputed; books that do not agree are named."""

import json
import shutil
import sqlite3
from contextlib import closing
from fractions import Fraction

import numpy as np
import pytest
from click.testing import CliRunner

from collector.edge import cli, ledger, noise, privacy, seal, spool
from collector.edge.ledger import PrivacySettings, budget, spent
from probe.base.config import ConfigError
from probe.base.main import RunError
from tests.builders_seal import FIRST, INC, TABLES

DAY = 739_000
STATED = budget(PrivacySettings(), TABLES)


def by_name(*named):
    return noise.named(1, *named)


def by_system(table, slot, *draws):
    return noise.drawn(*draws)


def a_run(folder, source=by_name):
    """Seal two days of every table and a week of the last; the store is filled with what was sealed."""
    promised = {one.number: (one.axes, its) for one, its in zip(TABLES, STATED, strict=True)}
    with spool.opened(folder / "spool.db", INC) as kept:
        sealer = seal.Sealer(kept, promised, 1, source, source is by_name)
        for one in TABLES:
            for slot in (0,) if one.span == "week" else (0, 16, 96):
                tally = np.arange(one.cells) * 1000 * one.tally_units
                sealer.seal(one.number, FIRST + slot, DAY + slot // 96, tally)
    shutil.copy(folder / "spool.db", folder / "store.db")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return a_run(tmp_path_factory.mktemp("run"))


def test_what_is_stated_is_what_was_spent_exactly(run):
    found = privacy.read(run)
    daily = sum(one.rho for one in STATED[:-1])
    assert found["problems"] == [] and found["ledger"]["equal"] and found["ledger"]["paid"] == 2 * 8 + 1
    assert Fraction(found["ledger"]["charged"]) == 2 * daily + STATED[-1].rho
    for name, rho in spent(STATED).items():
        assert Fraction(found["spent"][name]["rho_exact"]) == rho
        assert found["spent"][name]["epsilon_at_1e_6"] == pytest.approx(ledger.epsilon(rho))
    assert found["spent"]["day"]["epsilon_at_1e_6"] <= 2.15 and found["spent"]["week"]["rho"] <= 0.8


def test_every_table_is_on_the_page_with_its_bound_noise_and_cost(run):
    found = privacy.read(run)
    text = privacy.page(found, run)
    assert [one["table"] for one in found["tables"]] == [one.name for one in TABLES]
    for one in STATED:
        assert f"{one.table}: {one.value_unit} by" in text
        assert f"rho {one.rho_numerator}/{one.rho_denominator}" in text
    for words in ("standard deviation 30,339 person-seconds", "at most  9,000 person-seconds a day",
                  "standard deviation 29.82 moves", "at most  4 persons a week", "44.0% of what tables by day cost",
                  "equal, exactly", "that installed here", "Absent, unknown or conflicting means no",
                  "market_research", "a week", "28 days", "What is not promised"):  # fmt: skip
        assert words in text, words
    assert max(map(len, text.replace(str(run), "RUN").splitlines())) <= 120


def test_a_seeded_run_is_said_to_protect_nobody_and_an_honest_one_is_not(run, tmp_path):
    assert "PROTECTS NOBODY" in privacy.page(privacy.read(run), run)
    honest = privacy.read(a_run(tmp_path, by_system))
    assert not honest["seeded"] and "NOBODY" not in privacy.page(honest, tmp_path)


def test_the_command_prints_the_page_or_one_object(run):
    said = CliRunner().invoke(cli.privacy, [str(run)])
    assert said.exit_code == 0 and said.output.startswith("What was promised")
    said = CliRunner().invoke(cli.privacy, [str(run), "--json"])
    assert json.loads(said.output) == privacy.read(run)


TAMPERED = {
    "a charge that is gone": ("spool.db", f"DELETE FROM intent WHERE tab = 3 AND slot = {FIRST + 16}",
                              "1 releases were never charged"),
    "a day that was paid for twice": ("spool.db", f"UPDATE intent SET rho_numerator = 1, rho_denominator = 100 "
                                      f"WHERE tab = 4 AND slot = {FIRST + 16}", "the ledger holds"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERED.values(), ids=TAMPERED)
def test_books_that_do_not_agree_are_named_and_fail(case, run, tmp_path):
    file, change, words = case
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / file)) as db, db:
        assert db.execute(change).rowcount == 1
    said = CliRunner().invoke(cli.privacy, [str(tmp_path)])
    assert isinstance(said.exception, RunError) and words in str(said.exception)
    assert words in said.output


def test_a_promise_that_changes_within_a_run_is_named(run, tmp_path):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    less = budget(PrivacySettings(rho_day=Fraction(1, 20)), TABLES)[0]
    with spool.opened(tmp_path / "spool.db", INC) as kept:
        sealer = seal.Sealer(kept, {1: (TABLES[0].axes, less)}, 1, by_name, True)
        sealer.seal(1, FIRST + 192, DAY + 2, np.zeros(3, "i8"))
    shutil.copy(tmp_path / "spool.db", tmp_path / "store.db")
    assert "a table states more than one promise" in privacy.read(tmp_path)["problems"]


def test_a_release_that_is_not_what_was_sealed_is_refused(run, tmp_path):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / "store.db")) as db, db:
        db.execute("UPDATE release SET frame = zeroblob(500) WHERE seq = 3")
    with pytest.raises(ConfigError, match="cannot be read: release"):
        privacy.read(tmp_path)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="name the directory of a run"):
        privacy.read(tmp_path)
    for name in ("store.db", "spool.db"):
        with spool.opened(tmp_path / name, INC):
            pass
    with pytest.raises(ConfigError, match="nothing was released"):
        privacy.read(tmp_path)
