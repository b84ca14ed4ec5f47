"""A run that keeps its subscriber folder: what is recorded there counts in the next run of the same world."""

import json
from collections import Counter

import numpy as np
import pytest

from collector.edge import agent
from probe.base import clock
from probe.base.config import ConfigError
from probe.register import Register, Said
from probe.wire.consent import PURPOSES, countable
from probe.wire.events import REFUSES
from probe.wire.subscribers import MINOR
from simulator import deployment, population, tap
from simulator.world import World, place_of
from tests.conftest import footfall

SETS = ["world.handsets=160", "world.hours=1.5", "world.start=2026-05-12T09:00"]
NOBODY_SPEAKS = ["population.objecting_share=0", "population.late_share=0"]
PURPOSE, HALF_MS = "market_research", 2_700_000
WAITS_MS = 60_000  # what was heard so long before a no still waits to be counted, and never is


def told(tmp_path, *sets, name="run", folder=None, shards=1, say=lambda register: None):
    """Run world and edges in this process; return (Counter of events by subscriber, account, changes, deployment)."""
    stage = deployment.checked("village", [*SETS, *sets])
    (tmp_path / name / "private").mkdir(parents=True)
    run = deployment.Deployment(stage, tmp_path / name, shards, subscribers=folder)
    if folder:
        say(deployment.registered(stage, folder))
    run.write_inputs(private := tmp_path / name / "private")
    world, worker, _, _ = run.told(private)
    place, heard, account = place_of(stage.scenario, stage.plan), [], Counter()
    for shard in range(shards):
        edge = agent.Work(worker._replace(worker=shard), clock.WallClock())
        waiting = tap.read_epochs(private, shard)

        def deliver(batch, edge=edge, shard=shard, waiting=waiting):
            heard.append(batch.events.copy())
            for frame in tap.frames(batch, stage.plan.digest(), shard, waiting):
                edge.take([frame])

        World(stage.scenario, place, shard, shards).run(deliver, world.lateness_ms)
        account.update(edge.account())
    return np.concatenate(heard), account, run.consent["changes"], run


def busiest(tmp_path, count):
    """Return the numbers of those who may be counted and say most, most of all first."""
    run = deployment.checked("village", SETS)
    rows = deployment.registered(run, tmp_path / "asked").rows
    heard, *_ = told(tmp_path, *NOBODY_SPEAKS, name="busiest")
    yes = rows["subscriber"][(rows["consent"] & 2 > 0) & (rows["age"] < 6)]
    numbers, said = np.unique(heard["subscriber"], return_counts=True)
    order = [number for number in numbers[np.argsort(-said, kind="stable")].tolist() if number in set(yes.tolist())]
    return order[:count]


@pytest.mark.parametrize("shards", [1, 2])
def test_run_refuse_and_run_again_refuses_the_events_of_that_person(tmp_path, shards):
    """All of them, if it is said without a time; those from a time on, with one; and of nobody else a single one."""
    early, late, again = busiest(tmp_path, 3)
    heard, before, changes, run = told(tmp_path, *NOBODY_SPEAKS, folder=tmp_path / "edge", shards=shards)
    assert changes == {"yes": 0, "no": 0} and before["binned"] > 0 and before["refused"] > 0
    assert (tmp_path / "edge").stat().st_mode & 0o777 == 0o700
    middle_ms = run.scenario.start_ms + HALF_MS

    def say(register):
        words = "consent", "refuse", register.folder, "-", "--purpose", PURPOSE
        assert footfall(*words, input=f"{early}\n").returncode == 0
        register.record([Said(late, PURPOSE, "withdraw", middle_ms), Said(again, "marketing", "refuse")])

    same, after, changes, _ = told(tmp_path, *NOBODY_SPEAKS, name="again", folder=tmp_path / "edge", shards=shards,
                                   say=say)
    np.testing.assert_array_equal(np.sort(same, order=("time_ms", "subscriber")),
                                  np.sort(heard, order=("time_ms", "subscriber")))
    stopped = (heard["subscriber"] == late) & (heard["time_ms"] > middle_ms - WAITS_MS)
    mine = np.count_nonzero((heard["subscriber"] == early) | stopped)
    assert after["refused"] - before["refused"] == mine > 20 and np.count_nonzero(stopped)
    assert changes == {"yes": 0, "no": 2} and after["offered"] == before["offered"] == len(heard)


def test_a_yes_recorded_is_counted_in_the_next_run(tmp_path):
    """From its time on; and who is in the register says nothing more of their own accord."""
    heard, before, _, run = told(tmp_path, *NOBODY_SPEAKS, folder=tmp_path / "edge")
    rows = Register(tmp_path / "edge").rows
    silent = rows["subscriber"][(rows["consent"] & 2 == 0) & (rows["age"] < 6)]
    number = max(silent.tolist(), key=lambda number: np.count_nonzero(heard["subscriber"] == number))
    begin_ms = run.scenario.start_ms + HALF_MS

    def say(register):
        register.record([Said(number, PURPOSE, "give", begin_ms)])

    _, after, changes, _ = told(tmp_path, *NOBODY_SPEAKS, name="again", folder=tmp_path / "edge", say=say)
    mine = np.count_nonzero((heard["subscriber"] == number) & (heard["time_ms"] >= begin_ms))
    assert before["refused"] - after["refused"] == mine > 0 and changes == {"yes": 1, "no": 0}


def test_what_the_people_of_the_world_say_takes_effect_while_it_lasts(tmp_path):
    """Exactly what came before a yes and what waited or came after a no is refused, and who never agreed."""
    sets = ["population.consent_share=0.5", "population.objecting_share=0.8", "population.late_share=1"]
    heard, account, changes, run = told(tmp_path, *sets, folder=tmp_path / "edge")
    one, rows = run.scenario, Register(tmp_path / "edge").rows
    said = population.changes(rows, 1, one.population, one.start_ms, one.end_ms, one.world.zone)
    said = said[said["purpose"] == PURPOSES.index(PURPOSE)]
    at = np.searchsorted(rows["subscriber"], heard["subscriber"])
    may = (rows["consent"][at] & 2 > 0) & (rows["age"][at] < 6)
    for time_ms, subscriber, _, yes in said.tolist():
        since = heard["time_ms"] >= time_ms if yes else heard["time_ms"] > time_ms - WAITS_MS
        may[since & (heard["subscriber"] == subscriber)] = yes
    assert account["refused"] == np.count_nonzero(~may) and account["binned"] == np.count_nonzero(may)
    assert 2 < changes["no"] + changes["yes"] <= len(said) and min(changes.values()) > 0  # some had not agreed to this


def test_of_a_connection_that_refuses_every_event_is_refused(tmp_path):
    """Whoever it is; those of the same people that are of no such connection are counted."""
    heard, account, *_ = told(tmp_path, *NOBODY_SPEAKS, "traffic.refusing_share=0.3", folder=tmp_path / "edge")
    rows = Register(tmp_path / "edge").rows
    at = np.searchsorted(rows["subscriber"], heard["subscriber"])
    may, refuses = (rows["consent"][at] & 2 > 0) & (rows["age"][at] < 6), heard["flags"] == REFUSES
    assert account["binned"] == np.count_nonzero(may & ~refuses) and np.count_nonzero(may & refuses) > 30
    assert account["refused"] == np.count_nonzero(~may | refuses)


def test_where_everybody_refused_nobody_is_counted_and_the_folder_stays(tmp_path):
    stage = deployment.checked("village", SETS)
    register = deployment.registered(stage, tmp_path / "edge")
    register.record([Said(int(number), PURPOSE, "refuse") for number in register.rows["subscriber"]])
    settings = [word for one in SETS for word in ("--set", one)]
    folders = "--subscribers", tmp_path / "edge", "--out", tmp_path / "run"
    said = footfall("run", "village", *settings, *folders, "--json")
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["account"]["refused"] == found["account"]["offered"] > 0 == found["account"]["binned"]
    assert len(Register(tmp_path / "edge").log()) == 160
    consent = found["consent"]
    assert (consent["epoch"], consent["not_taken"], consent["words"]) == (6, {}, [])  # one a quarter of an hour
    assert consent["changes"]["no"] > 80 and consent["agreed_share_by_age"] == [0.8] * 6


def test_a_folder_of_another_world_or_within_the_run_is_refused_before_anything_is_done(tmp_path):
    stage = deployment.checked("village", SETS)
    deployment.registered(stage, tmp_path / "edge")
    for sets in (["world.seed=2"], ["world.handsets=161"], ["world.start=2026-05-13T09:00"]):
        with pytest.raises(ConfigError, match="another world"):
            deployment.registered(deployment.checked("village", [*SETS, *sets]), tmp_path / "edge")
    longer = deployment.checked("village", [*SETS, "world.hours=3"])
    assert len(deployment.registered(longer, tmp_path / "edge").rows) == 160
    said = footfall("run", "village", "--subscribers", tmp_path / "edge", "--out", tmp_path / "run")
    assert said.returncode == 2 and "another world" in said.stderr and not (tmp_path / "run").exists()
    for folder in ("run", "run/edge"):
        said = footfall("run", "village", "--subscribers", tmp_path / folder, "--out", tmp_path / "run")
        assert said.returncode == 2 and "lies within" in said.stderr and not (tmp_path / "run").exists()


@pytest.mark.parametrize("basis", ["consent", "anonymous"])
def test_one_counted_handset_stands_for_as_many_people_as_there_are_to_one(basis):
    """Of 100,000 handsets, by the shares of every age; the deviation of how many agree is 0.2 %."""
    stage = deployment.checked("city", [f"privacy.basis={basis}"])
    people = population.country(stage.scenario.areas, stage.scenario.population)
    rows = population.subscribers(people, 1, stage.scenario.handsets, stage.scenario.population)
    may = countable(rows["consent"], rows["age"] == MINOR, rows["person"], PURPOSE, basis)
    assert stage.extrapolation == pytest.approx(stage.persons / np.count_nonzero(may), rel=0.008)
