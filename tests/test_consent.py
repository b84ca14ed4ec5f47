"""Whoever says no leaves no trace, byte by byte; and edges that are broken on purpose are caught.

The village, its people who say no and yes, and the two claims about them are those of benchmarks/objection.py.
"""

import json
import logging

import numpy as np
import pytest

from benchmarks.objection import DAY, WEEK, Village, judged, lived, objection, silence, staged
from collector.edge.crowd import Crowd
from collector.edge.merge import Merge
from probe import consent
from probe.identity import Keys, fingerprints, pseudonyms, seeded_key
from probe.wire import epochs
from tests.scanner import found_in

NINE = ["presence", "profile", "moves", "visitors", "dwell", "origin", "flows", "zone_flows", "repeat"]


class Heard:
    """A village, and what an edge leaves of all that is said there, of what may be counted, of all without a group."""

    def __init__(self, folder, *span):
        stage = staged(1, *span, handsets=80)
        self.village = Village(stage, lived(stage), 1, folder)
        self.everything, self.lawful, self.without = map(self.village.left, (
            self.village.without(), self.village.lawful, self.village.without("regret")))


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return Heard(tmp_path_factory.mktemp("day"), *DAY)


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    return Heard(tmp_path_factory.mktemp("week"), *WEEK)


def test_of_those_who_may_not_be_counted_not_a_byte_is_left(week):
    found = silence(week.village, week.everything, week.lawful)
    assert found["differs"] == []
    assert found["deleted"] > 10_000 and found["releases"] > 1_600 and found["messages"] > 3 * found["releases"]


def test_what_was_open_when_someone_objected_is_as_if_they_had_never_been(week):
    found = objection(week.village, "regret", week.everything, week.without)
    assert found["differs"] == [] and found["open"] > 1_500 and found["sealed_with_them"] > 20


def test_both_claims_hold_for_two_workers_whoever_objects_when_on_the_other_basis():
    first, *others = judged(2, *DAY, workers=(2,), basis="anonymous", handsets=200)
    assert first["differs"] == [] and first["deleted"] > 5_000 and first["published"] > 0
    assert [one["differs"] for one in others] == 3 * [[]]
    assert all(one["open"] > 20 and one["sealed_with_them"] > 20 for one in others)


def test_nor_does_it_matter_whether_anybody_speaks_in_a_step():
    """Of twelve handsets most steps of 900 s are empty without those who may not be counted."""
    assert next(judged(1, *DAY, workers=(1,), handsets=12))["differs"] == []


# ---- planted mutants: a stream without those people shows none of them, so what it leaves need not be made again


def everyone(flags, *rest):
    """The one rule, broken: everyone may be counted."""
    return np.ones(len(flags), "?")


def each_alone(flags, minor, person, *rest, rule=consent.countable):
    """The one rule, broken: the no of one handset holds for that handset."""
    return rule(flags, minor, np.arange(len(person)), *rest)


def at_once(self, due, start=consent.Consent._start):
    """A yes, broken: it does not matter who said no on the same day."""
    self._denied = self._denied[:0]
    return start(self, due)


def test_a_filter_behind_any_count_is_caught(week, monkeypatch):
    """Were the count of any of the nine tables before the filter, a release of it would not be what it is."""
    monkeypatch.setattr(consent, "countable", everyone)
    found = week.village.left(week.village.without()).releases
    differs = {NINE[key[0] - 1] for key, frame in week.lawful.releases.items() if found[key] != frame}
    assert differs == {*NINE}


def test_a_week_that_is_not_taken_back_is_caught(week, monkeypatch):
    retract = Crowd.retract
    monkeypatch.setattr(Crowd, "retract", lambda self, days, weeks: retract(self, days, weeks[:0]))
    found = objection(week.village, "regret", week.village.left(week.village.without()), week.without)
    assert {NINE[table - 1] for table, _ in found["differs"]} == {"repeat"}


def test_a_no_of_one_handset_that_does_not_hold_for_the_other_is_caught(day, monkeypatch):
    monkeypatch.setattr(consent, "countable", each_alone)
    found = silence(day.village, day.village.left(day.village.without()), day.lawful)
    assert found["differs"] == ["wire", "spool", "store", "judge", "account"]


MUTANTS = {
    "what waits to be counted stays": (Merge, "remove", lambda self, pseudonyms: 0),
    "person-time is not subtracted": (Crowd, "time_of_gone", lambda self, of=Crowd.time_of_gone: [*of(self)][:0]),
    "steps and trips are not taken back": (
        Crowd, "granted_to_gone", lambda self, of=Crowd.granted_to_gone: of(self)[:0]),
    "nothing is taken back": (Crowd, "retract", lambda self, days, weeks: None),
    "there is no deny list": (consent.Consent, "_start", at_once),
    "a no holds from the end of the batch": (consent.Consent, "next_ms", lambda self: 1 << 62),
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_an_edge_that_is_broken_is_caught(mutant, day, monkeypatch):
    monkeypatch.setattr(*mutant)
    found = day.village.left(day.village.without())
    assert objection(day.village, "regret", found, day.without)["differs"]


# ---- scans


def names_of(village):
    """Return every number, fingerprint, and pseudonym of a day and of the week, u8[n]."""
    one, numbers, person = village.stage.scenario, village.rows["subscriber"].copy(), np.unique(village.rows["person"])
    found = [numbers, *(fingerprints(of, village.key) for of in (numbers, person))]
    for source, days in ((seeded_key(one.world.seed), 1), (seeded_key(one.world.seed, "week"), 7)):
        keys = Keys(source, one.world.zone, one.start_ms, 60_000, days)
        keys.hold(one.start_ms, one.end_ms)
        found += [pseudonyms(person, np.full(len(person), span), keys.keys) for span in range(len(keys.keys))]
    return np.concatenate(found)


def test_no_name_of_anyone_leaves_the_edge(day):
    names, left = names_of(day.village), day.everything
    assert len(names) > 5 * 60
    for what in (b" ".join(left.wire), *left.files.values(), json.dumps(left.answers).encode()):
        assert not found_in(what, names) and day.village.key not in what


def test_epochs_that_are_not_taken_change_nothing_and_the_log_names_nobody(day, monkeypatch, caplog):
    def broken_too(self, kept, frames=Village.frames):
        for worker, frame in frames(self, kept):
            yield worker, frame
            if epochs.is_epoch(frame):
                yield from ((worker, frame), (worker, frame[:-1]))

    monkeypatch.setattr(Village, "frames", broken_too)
    with caplog.at_level(logging.DEBUG):
        assert day.village.left(day.village.without()) == day.everything
    assert "cannot be trusted" in caplog.text and "is here already" in caplog.text
    assert not found_in(caplog.text.encode(), names_of(day.village))
