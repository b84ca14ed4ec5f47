"""The page of what was promised: every table on it, its figures recomputed; books that do not agree are named."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import date
from fractions import Fraction
from math import exp

import numpy as np
import pytest
from click.testing import CliRunner

from collector.edge import cli, ledger, noise, privacy, seal, spool
from collector.edge.ledger import PrivacySettings, budget, spent
from probe.base.config import ConfigError
from probe.base.main import RunError
from tests.builders_seal import FIRST, INC, TABLES

DAY, TODAY = 739_000, date(2026, 5, 20)
STATED = budget(PrivacySettings(), TABLES)


def by_name(*named):
    return noise.named(1, *named)


def by_system(table, slot, *draws):
    return noise.drawn(*draws)


def delivered(folder):
    """Fill the store of a run with all that was sealed, and say where it is."""
    shutil.copy(folder / "spool.db", folder / "store.db")
    with closing(sqlite3.connect(folder / "store.db")) as db, db:
        db.execute("CREATE TABLE registry AS SELECT ? AS content", ('{"zone": "Europe/Berlin"}',))


def a_run(folder, source=by_name, tables=TABLES):
    """Seal two days of every table and a week of the last; the store is filled with what was sealed."""
    promised = {one.number: (one.axes, its) for one, its in zip(TABLES, STATED, strict=True)}
    with spool.opened(folder / "spool.db", INC) as kept:
        sealer = seal.Sealer(kept, promised, 1, source, source is by_name)
        for one in tables:
            for slot in (0,) if one.span == "week" else (0, 16, 96):
                tally = np.arange(one.cells) * 1000 * one.tally_units
                sealer.seal(one.number, FIRST + slot, DAY + slot // 96, tally, epoch=1 + slot // 16)
    delivered(folder)
    said = {"scenario": "village", "version": "0.1.0", "state": "done", "hours": 48.0}
    (folder / "run.json").write_text(json.dumps(said))
    return folder


def page_of(run):
    return privacy.page(privacy.read(run), run, TODAY)


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
    text = page_of(run)
    assert [one["table"] for one in found["tables"]] == [one.name for one in TABLES]
    for one in STATED:
        assert f"{one.table}: {one.value_unit} by" in text
        assert f"rho {float(one.rho):.6f} a {one.unit.removeprefix('subscriber-')}" in text
    for words in ("standard deviation 30,339 person-seconds", "at most  9,000 person-seconds a day",
                  "standard deviation 29.82 moves", "at most  4 persons a week", "44.0% of what tables by day cost",
                  "equal, exactly", "that installed here", "Absent, unknown or conflicting means no",
                  "market_research", "a week", "28 days", "What is not promised"):  # fmt: skip
        assert words in text, words
    assert max(map(len, text.replace(str(run), "RUN").splitlines())) <= 120


def test_a_seeded_run_is_said_to_protect_nobody_and_an_honest_one_is_not(run, tmp_path):
    assert "PROTECTS NOBODY" in page_of(run)
    honest = privacy.read(a_run(tmp_path, by_system))
    assert not honest["seeded"] and "NOBODY" not in page_of(tmp_path)


def test_the_page_says_of_which_time_and_run_it_is_and_when_it_was_made(run):
    """Two days and a week from Tuesday 12 May on, local time."""
    text = page_of(run)
    for words in ("2026-05-12T00:00+02:00 to 2026-05-19T00:00+02:00", "scenario village, footfall 0.1.0",
                  "this page on 2026-05-20", "The run is done.", "not in the store: 0 releases"):  # fmt: skip
        assert words in text, words


def test_a_period_ends_with_its_last_local_day_where_clocks_change(tmp_path):
    """From 24 to 25 October 2026: 49 hours."""
    with spool.opened(tmp_path / "spool.db", INC) as kept:
        sealer = seal.Sealer(kept, {4: (TABLES[3].axes, STATED[3])}, 1, by_name, True)
        for day in (0, 1):
            sealer.seal(4, FIRST + 165 * 96 + 96 * day, DAY + day, np.zeros(TABLES[3].cells, "i8"))
    delivered(tmp_path)
    found = privacy.read(tmp_path)
    assert found["period"] == ["2026-10-24T00:00+02:00", "2026-10-26T00:00+01:00"]
    assert "scenario not known (no run.json)" in page_of(tmp_path)


def test_a_pseudonym_of_a_week_is_said_where_there_is_one(run, tmp_path):
    without = page_of(a_run(tmp_path, tables=TABLES[:-1]))
    assert "alone who said yes themselves" in page_of(run) and "themselves" not in without
    assert "then its key was overwritten" in without


def test_a_day_without_a_table_by_day_costs_nothing(tmp_path):
    found = privacy.read(a_run(tmp_path, tables=TABLES[-1:]))
    assert found["problems"] == [] and found["spent"]["day"] == {
        "rho": 0.0, "rho_exact": "0", "e_to_epsilon": 1.0, "epsilon_at_1e_6": 0.0}  # fmt: skip


def test_what_epsilon_means_is_said_with_its_number_for_a_day_and_a_week(run):
    found, text = privacy.read(run)["spent"], page_of(run)
    for name, words in (("day", "more than {:,.1f} times as likely"), ("week", "{:,.1f} times for all that")):
        assert found[name]["e_to_epsilon"] == exp(found[name]["epsilon_at_1e_6"])
        assert words.format(found[name]["e_to_epsilon"]) in text
    assert "each day in use" in text and "Tables by week (repeat) cost" in text


def test_what_is_sealed_and_not_delivered_and_an_interruption_are_said(run, tmp_path):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / "store.db")) as db, db:
        db.execute(f"DELETE FROM release WHERE tab = 3 AND slot >= {FIRST + 16}")
    (tmp_path / "run.json").write_text('{"state": "interrupted"}')
    found = privacy.read(tmp_path)
    assert found["unreleased"] == 2 and found["problems"] == []
    assert "The run is interrupted. Paid for, but not in the store: 2 releases" in page_of(tmp_path)


@pytest.mark.parametrize("said", ["[]", "{", "7"])
def test_a_damaged_run_file_leaves_the_rest_of_the_page(said, run, tmp_path):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    (tmp_path / "run.json").write_text(said)
    assert "The run is not known" in page_of(tmp_path)


def test_fractions_are_exact_in_json_and_rounded_on_the_page(run):
    text = page_of(run)
    assert not re.search(r"\d/\d", text) and not re.search(r"\d\.\d{7}", text)
    for one, stated in zip(privacy.read(run)["tables"], STATED, strict=True):
        assert Fraction(one["rho_numerator"], one["rho_denominator"]) == stated.rho


def test_the_rule_of_a_table_that_the_page_has_no_words_for_is_that_of_its_plugin(run):
    found = privacy.read(run)
    found["tables"][0] |= {"table": "long_stays", "rule": "At most 12 areas a day."}
    text = privacy.page(found, run, TODAY)
    assert "rule     At most 12 areas a day." in text and "areas a day count, each of them once, in one role" in text


def test_the_page_warns_of_the_files_that_hold_counts_before_noise(run):
    assert "truth.db, judge.db and map.html: they exist in a simulation only" in page_of(run)


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
        sealer.seal(1, FIRST + 192, DAY + 2, np.zeros(3, "i8"), epoch=13)
    delivered(tmp_path)
    assert "a table states more than one promise" in privacy.read(tmp_path)["problems"]


def test_the_epochs_of_consent_are_told_and_none_goes_back(run, tmp_path):
    found = privacy.read(run)
    assert found["consent_epochs"] == [1, 7] and found["tables"][0]["consent_epoch"] == 7
    assert "consent epochs 1 to 7" in page_of(run)
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / "store.db")) as db, db:
        db.execute(f"UPDATE release SET slot = slot + 999 WHERE tab = 1 AND slot = {FIRST}")
    assert privacy.read(tmp_path)["problems"] == ["the consent epoch of a table goes back"]


def test_a_release_that_is_not_what_was_sealed_is_refused(run, tmp_path):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / "store.db")) as db, db:
        db.execute("UPDATE release SET frame = zeroblob(500) WHERE seq = 3")
    with pytest.raises(ConfigError, match="cannot be read: release"):
        privacy.read(tmp_path)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="name the directory of a run"):
        privacy.read(tmp_path)
    with spool.opened(tmp_path / "spool.db", INC) as kept:
        delivered(tmp_path)
        with pytest.raises(ConfigError, match=r"nothing was released.*not in the store: 0 releases"):
            privacy.read(tmp_path)
        seal.Sealer(kept, {1: (TABLES[0].axes, STATED[0])}, 1, by_name, True).seal(1, FIRST, DAY, np.zeros(3, "i8"))
    with pytest.raises(ConfigError, match=r"nothing was released.*not in the store: 1 releases"):
        privacy.read(tmp_path)
