"""The judge: each error is held against what it is named after, and the gap against what was heard."""

import sqlite3
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from collector.centre import questions
from collector.centre.stores import Registered
from collector.edge.ledger import PrivacySettings, TableConfig, promise
from probe.base.config import ConfigError
from probe.wire import release
from probe.wire.release import Flag, Kind, Release
from simulator import cli, population, report, scenario, score, truth

FIRST, HOURS = 1_976_152, 24  # slot of 2026-05-12T00:00+02:00
AREAS = [["a", "Altstadt"], ["b", "Bahnhof"], ["elsewhere", "elsewhere"]]
WORDS = [["x", "x"], ["y", "y"]]
TABLES = {  # span, unit, axes
    "presence": ("slot", "person-seconds", [["area", AREAS]]),
    "dwell": ("day", "persons", [["area", AREAS], ["gender", WORDS]]),
    "flows": ("part", "trips", [["origin", AREAS], ["destination", AREAS]]),
    "nights": ("hour", "persons", [["area", AREAS]]),  # a stranger's
    "repeat": ("week", "persons", [["area", AREAS], ["days", WORDS]]),
}
PROFILE = "part", "person-seconds", [["area", AREAS], ["age", WORDS], ["gender", WORDS]]
RUN = {"extrapolation": 4.0, "extrapolation_adults": 3.0, "extrapolation_by_age": {}}


def tallies(spans, cells, seed):
    """Large, so that they are shown, and none like another."""
    return 5_000_000 + (np.arange(spans * cells).reshape(spans, cells) * 977 + seed) % 90_001


class AStore:
    """What a store is asked by the judge."""

    def __init__(self, lost=()):
        self._tables, self._frames, self.tallies = [], {}, {}
        for number, (name, (span, unit, axes)) in enumerate(TABLES.items(), 1):
            cells = int(np.prod([len(rows) for _, rows in axes]))
            its = Registered(1, number, name, span, unit, 900, FIRST, FIRST + 4 * HOURS, 60, "Europe/Berlin", bytes(8),
                             axes, [])
            units = 64_000 if unit == "person-seconds" else 1
            table = TableConfig(number, name, bytes(8), "area", cells, span, unit, units, units**2)
            said = promise(PrivacySettings(shares={name: 0.5}), table)
            tally = self.tallies[name] = tallies(len(its.spans), cells, number)
            self._tables.append(its)
            self._frames[number] = [
                release.encode(Release(1, bytes(16), 0, number, slot, bytes(8), Kind.RELEASE, Flag.SEEDED, said,
                                       tally[row] + 100, ""))
                for row, slot in enumerate(its.spans) if (number, row) not in lost]  # fmt: skip

    def registered(self):
        return self._tables

    def frames(self, table):
        return iter(self._frames[table])

    def close(self):
        pass


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose noise is +100 everywhere, whose tallies are 0.9 of the counted, who are a fifth of everyone."""

    def made(lost=()):
        store = AStore(lost)
        kept = {}
        with closing(sqlite3.connect(tmp_path / "judge.db")) as db, db:
            for one in store.registered():
                unit, scale = (64_000, 1_000) if one.averaged else (1, 1)
                db.execute(f'CREATE TABLE "{one.name}" (slot, cell, tally)')
                tally = store.tallies[one.name]
                rows = [(slot, cell, int(value) * unit) for slot, line in zip(one.spans, tally, strict=True)
                        for cell, value in enumerate(line)]  # fmt: skip
                db.executemany(f'INSERT INTO "{one.name}" VALUES (?, ?, ?)', rows)
                counted = np.rint(tally / 0.9).astype("i8") * scale
                columns = np.stack([counted * 5, counted * 2, counted], axis=2)
                kept[one.name] = truth.Kept(np.array([*one.spans], "i8"), columns)
        del kept["nights"]
        truth.write(tmp_path / "truth.db", kept, {})
        monkeypatch.setattr(questions, "opened", lambda path: (store, path))
        return tmp_path, store.tallies

    return made


def test_each_error_is_held_against_what_it_is_named_after(run):
    """Elsewhere is left out; sums over a day are of all its spans; adults are held against adults."""
    folder, tally = run()
    found = score.read(folder)
    assert list(found) == list(TABLES)
    for name, spans, kept in (("presence", 96, [0, 1]), ("dwell", 1, [0, 1, 2, 3]), ("flows", 6, [0, 1, 3, 4])):
        errors = found[name].errors(RUN)["day"]
        total = tally[name][:, kept].sum(axis=0)
        np.testing.assert_allclose(errors["noise_median"], np.median(100 * spans / total))
        np.testing.assert_allclose(errors["place_p95"], 0.1, rtol=1e-4)
        factor = 3.0 if name == "dwell" else 4.0
        slow = np.abs((total + 100 * spans) * factor - total / 0.9 * 5) / (total / 0.9 * 5)
        np.testing.assert_allclose(errors["total_median"], np.median(slow), rtol=1e-4)
        assert (errors["periods"], errors["published"], errors["published_share"]) == (1, len(kept), 1.0)


def test_levels_begin_with_what_a_table_is_counted_over(run):
    found = score.read(run()[0])
    assert {name: list(one.levels) for name, one in found.items()} == {
        "presence": ["slot", "hour", "part", "day", "week"],
        "dwell": ["day", "week"],
        "flows": ["part", "day", "week"],
        "nights": ["hour", "part", "day", "week"],
        "repeat": ["week"],
    }
    assert [one.level for one in found.values()] == ["hour", "day", "part", "hour", "week"]
    assert found["repeat"].errors(RUN)["week"]["periods"] == 0  # no whole one in a day, and that is no error


def test_a_bias_has_its_sign_by_row_over_all_areas_but_elsewhere(run, monkeypatch):
    """A tally of 9 tenths of the counted; women are held against half as many."""
    genders = ["gender", [["w", "women"], ["m", "men"]]]
    monkeypatch.setitem(TABLES, "dwell", ("day", "persons", [["area", AREAS], genders]))
    folder, _ = run()
    with closing(sqlite3.connect(folder / "truth.db")) as db, db:
        db.execute("UPDATE dwell SET counted = counted / 2 WHERE cell % 2 = 0")  # women
        db.execute("UPDATE dwell SET counted = 1 WHERE cell > 3")  # elsewhere
    found = {name: one.bias for name, one in score.read(folder).items()}
    assert {name: [*axes] for name, axes in found.items()} == {"presence": [], "dwell": ["gender"], "flows": [],
                                                               "nights": [], "repeat": ["days"]}  # fmt: skip
    assert found["dwell"]["gender"] == {"w": pytest.approx(0.8, rel=1e-5), "m": pytest.approx(-0.1, rel=1e-5)}
    assert found["repeat"]["days"] == {"x": None, "y": None}  # no whole week


def test_a_bias_is_of_what_is_stored(run):
    assert score.read(run(lost={(2, 0)})[0])["dwell"].bias["gender"] == {"x": None, "y": None}


def test_what_the_truth_does_not_know_has_no_place_error(run):
    errors = score.read(run()[0])["nights"].errors(RUN)["hour"]
    assert errors["noise_median"] > 0 and errors["place_median"] is None and errors["total_median"] is None


def test_what_is_not_stored_is_not_judged_and_counts_as_not_published(run):
    folder, tally = run(lost={(1, 7), (2, 0)})
    found = score.read(folder)
    hours, dwell = found["presence"].errors(RUN)["hour"], found["dwell"].errors(RUN)["day"]
    due = tally["presence"][:, :2].astype(float)
    gone = due[4:8].sum() / 0.9  # by the truth: nobody knows what the tally would have been
    shown = due[:4].sum() + due[8:].sum()
    assert hours["published"] == 23 * 2
    np.testing.assert_allclose(hours["published_share"], shown / (shown + gone), rtol=1e-6)
    assert dwell["published"] == 0 and dwell["noise_median"] is None and dwell["published_share"] == 0


def test_what_the_refusals_cost_is_the_truth_of_some_held_against_everyone(run, monkeypatch):
    """Everyone is five times the counted, customers are twice: 2.5 people each, of adults, and no error is left.

    Without minors in the table one counted stands for 3: 0.4 too few.  Of age x each stands for 5, as it should.
    """
    monkeypatch.setitem(TABLES, "profile", PROFILE)
    folder, tally = run()
    known = {**RUN, "persons": 100, "handsets": 40, "extrapolation_by_age": {"x": 5.0}}
    found = score.refusals(score.read(folder), known)
    presence, areas, ages = found["errors"]
    assert (presence["level"], presence["by"], presence["published"]) == ("hour", ["area"], 24 * 2)
    assert (presence["customers_median"], presence["counted_p95"]) == (pytest.approx(1 / 3), pytest.approx(0.2))
    assert "weighed_median" not in presence
    assert (areas["by"], areas["published"], ages["by"], ages["published"]) == (["area"], 6 * 2, ["area", "age"], 6 * 4)
    for row in (areas, ages):
        assert row["customers_p95"] == pytest.approx(0, abs=1e-9) and row["counted_median"] == pytest.approx(0.4)
    x, y = (tally["profile"].reshape(6, 3, 2, 2)[:, :2, age].sum(axis=2) for age in (0, 1))
    slow = 0.4 * y / (x + y)  # whoever is of age y is counted as too few, in a sum of both too
    assert areas["weighed_median"] == pytest.approx(np.median(slow), rel=1e-4)
    assert ages["weighed_median"] == pytest.approx(0.2) and ages["weighed_p95"] == pytest.approx(0.4)
    assert [*found["bias"]] == ["all", "x", "y"]
    assert found["bias"]["x"] == {"customers": pytest.approx(0, abs=1e-9), "counted": pytest.approx(-0.4),
                                  "weighed": pytest.approx(0, abs=1e-9)}  # fmt: skip
    assert found["bias"]["all"]["weighed"] == pytest.approx(-0.4 * y.sum() / (x + y).sum(), rel=1e-6)


def test_a_table_that_tells_age_is_extrapolated_by_age(run, monkeypatch):
    monkeypatch.setitem(TABLES, "profile", PROFILE)
    folder, _ = run()
    total = score.read(folder)["profile"].errors({**RUN, "extrapolation_by_age": {"x": 5.0, "y": 5.0}})["part"]
    assert total["total_median"] < 0.11 < 0.39 < score.read(folder)["profile"].errors(RUN)["part"]["total_median"]


def test_an_age_is_weighed_by_how_many_of_it_agree():
    """A tenth of all are customers: where half of an age agree one stands for 20, where none does there is nobody."""
    settings = population.PopulationSettings(share=0.1, consent_by_age={"marketing": (0.5, 0.8, 1.0, 0.25, 0.4, 0.0)})
    stage = SimpleNamespace(persons=1_000, privacy=SimpleNamespace(purpose="marketing", basis="consent"),
                            scenario=SimpleNamespace(handsets=100, population=settings))  # fmt: skip
    assert score.by_age(stage) == {"18-24": 20, "25-34": 12.5, "35-44": 10, "45-54": 40, "55-64": 25}


def test_below_the_threshold_is_not_judged():
    """Counts: 20 and what noise may add; person-seconds: that many all the time."""
    span = np.array([[0, 3_600_000]])
    values = np.array([[20.0 + 3.09 * 5, 20.0 + 3.09 * 5 - 0.01]])
    heads = score.Counts(span, np.zeros(1, bool), np.array([5.0]), *[values] * 5, False)
    time = heads._replace(released=values * 3_600, sigma=np.array([5.0 * 3_600]), averaged=True)
    assert heads.shown().tolist() == time.shown().tolist() == [[True, False]]


def test_caps_are_told_by_hour():
    cut = np.zeros((25, 3, 2), "i8")
    cut[8, 1], cut[9, 1], cut[9, 2] = (30, 10), (60, 0), (7, 0)
    found = report.caps(cut)
    assert found["arrivals"]["refused_share"] == 0.1 and found["arrivals"]["by_hour"][8:11] == [0.25, 0.0, None]
    assert found["departures"]["refused_share"] == 0.0 and found["areas"]["refused_share"] is None


def test_the_score_in_words_names_every_table_cap_and_gap(run):
    found = score.read(run()[0])
    visits = {name: {"visits": 10, "unseen": 0.25} for name in score.STAYS}
    fixes = {"median": 100.0, "by_content": {"cell": {"events": 0}}}
    cut = np.zeros((25, 3, 2), "i8")
    cut[8] = [[9, 1], [8, 2], [7, 3]]
    said = report.scores({name: one.errors(RUN) for name, one in found.items()},
                         {**RUN, "caps": report.caps(cut), "fix_error_m": fixes,
                          "bias": {name: one.bias for name, one in found.items()},
                          "refusals": score.refusals(found, {**RUN, "persons": 10, "handsets": 4}),
                          "sensing": {"presence": 0.125, "visits": visits}})  # fmt: skip
    for words in ("  presence by hour, area         33.3 %   33.3 %   20.0 %   20.0 %        -        -",
                  "presence            hour ", "repeat              week    no whole one", "12.5 % of person-time",
                  "dwell             gender    x -10.0 %, y -10.0 %", "60+ 25.0 %"):  # fmt: skip
        assert words in said, said
    (at,) = (row for row, line in enumerate(said.splitlines()) if line.startswith("refused   by caps"))
    assert [" ".join(line.split()) for line in said.splitlines()[at : at + 3]] == [
        "refused by caps areas arrivals departures", "all 10.0 % 20.0 % 30.0 %",
        "8-9 h 10.0 % 20.0 % 30.0 %"]  # fmt: skip
    assert said.splitlines()[at + 3].startswith("unseen")  # no line of an hour that refused nothing


def test_the_summary_says_what_is_sparse_and_what_is_not_published():
    its = {"level": "day", "total_median": 0.5, "published": 4, "cells": 8}
    tables = {"presence": its, "dwell": its, "moves": {**its, "published": 3, "total_median": 0.25},
              "flows": {**its, "published": 0, "total_median": None}}  # fmt: skip
    figures = ("scenario", "out", "seed", "handsets", "cells", "areas", "hours", "events", "events_per_s", "wall_s")
    run = {**dict.fromkeys(figures, 1), "account": dict.fromkeys(report.ACCOUNT, 0), "tables": tables,
           "privacy": {"rho": 0.1, "unit": "subscriber-day", "epsilon_at_1e_6": 2.0}, "fix_error_m": {"by_content": {}},
           "releases": {"stored": 1, "due": 1, "lost": 0}, "core_ns_per_event": {"total": 1.0},
           "presence_error": dict.fromkeys(report.JUDGED),
           "consent": {"changes": {"yes": 2, "no": 1_003}, "words": ["epoch 3 was not taken: it is old"]}}  # fmt: skip
    said = report.summary(run)
    assert "dwell 50.0 % (day), moves 25.0 % (day, sparse), flows nothing published" in said, said
    assert "consent   epoch 3 was not taken: it is old; 1,003 ceased and 2 began to be counted" in said, said


def test_what_the_probes_say_of_epochs_is_added_up():
    said = [{"epoch": 7, "not_taken": {"old": 2, "stale": 5}, "words": ["x", "y"]},
            {"epoch": 6, "not_taken": {"stale": 1}, "words": ["y"]}]  # fmt: skip
    found = report.consent({"workers": [{"consent": one} for one in said], "consent": {"changes": {"no": 3}}})
    assert found == {"changes": {"no": 3}, "epoch": 6, "not_taken": {"old": 2, "stale": 6}, "words": ["x", "y"]}


def test_the_cells_of_a_table_are_those_of_settled_periods(run):
    errors = score.read(run()[0])["presence"].errors(RUN)
    assert errors["hour"]["cells"] == errors["hour"]["published"] and errors["day"]["cells"] == 2


VILLAGE = scenario.load("village", [])


@pytest.mark.parametrize(("part", "unseen"), [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)])
def test_a_visit_is_seen_when_an_event_fell_into_it(monkeypatch, part, unseen):
    """Of everybody who is counted a part of the visits holds one event: at its first moment, or its last."""
    monkeypatch.setattr(score, "JUDGED_SHARDS", 1)
    people = population.country(VILLAGE.areas, VILLAGE.population)
    known = population.subscribers(people, 1, VILLAGE.handsets, VILLAGE.population)
    agreed = SimpleNamespace(purpose="market_research", basis="consent")
    stage = SimpleNamespace(scenario=VILLAGE, persons=2_000, privacy=agreed)
    counted = np.flatnonzero(truth.counted_persons(known, 2_000, "market_research", "consent"))
    of = truth.Truth(1, people, truth.views({"": VILLAGE.areas}, {})[0], VILLAGE.start_ms, VILLAGE.end_ms,
                     VILLAGE.world.zone)  # fmt: skip
    number = dict(zip(known["person"].tolist(), known["subscriber"].tolist(), strict=True))
    spans = [(number[person], *visit) for person in counted.tolist() for visit in of.visits(person)]
    held = [row for row in range(len(spans)) if row % 2 < part * 2]
    dtype = [("subscriber", "u8"), ("time_ms", "i8")]
    seen = np.array([(spans[row][0], VILLAGE.start_ms + (spans[row][1] if row % 4 < 2 else spans[row][2] - 1))
                     for row in held], dtype)  # fmt: skip
    span = np.array([[0, 3_600_000], [3_600_000, 7_200_000]])
    there, tally = np.array([[30.0, 70.0], [50.0, 50.0]]), np.array([[30.0, 50.0], [50.0, 40.0]])
    hours = score.Counts(span, np.zeros(2, bool), np.ones(2), tally, tally, there * 5, there, there, True)
    monkeypatch.setattr(score, "read", lambda run, elsewhere: {"presence": score.Judged(["area"], {"hour": hours})})
    found = score.sensing(None, stage, seen)
    assert found["presence"] == 0.15 and found["presence_by_hour"] == [0.2, 0.1]
    assert sum(one["visits"] for one in found["visits"].values()) == len(spans) > 1_000
    for one in found["visits"].values():
        assert one["visits"] > 50 and abs(one["unseen"] - unseen) < 0.1


def test_a_finished_run_of_another_program_is_no_run_to_judge(tmp_path):
    (tmp_path / "run.json").write_text('{"state": "done", "fix_error_m": {}}')
    found = CliRunner().invoke(cli.score, [str(tmp_path)])
    assert isinstance(found.exception, ConfigError) and "another program" in str(found.exception)
