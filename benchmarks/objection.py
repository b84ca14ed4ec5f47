"""Whoever says no leaves no trace: one world, heard by the edge with their events and without, byte by byte.

    python -m benchmarks.objection [--seeds N | --small]

The people of a made-up village live a week, that of 25 October (which has 25 hours).  All nine tables are counted.
Every third person has two handsets.  Some never agreed, some say no or yes in the middle of it, some connections
refuse.  Everything from the tap's frames to the store's file runs in this process: the parts of `footfall run`,
without its sockets.  Two claims, for one and for two edge workers, on each basis in turn:

silence    Delete every event that may not be counted.  Nothing changes: not a byte of what passes between edge and
           store, of spool and store, of the tallies before noise, of the answers to questions.
objection  Delete instead all that objectors ever did, also what was counted before they said no.  Every release
           whose span was still open then is the same, byte by byte; what was sealed before stays as it was.

Who may be counted is worked out here once more, from the answers alone.  One line of JSON for each seed, number of
workers and claim; `differs` has to be [].
"""

import json
import shutil
import sys
import tempfile
from collections import Counter, namedtuple
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import numpy as np

from collector.centre import intake, questions, receiver
from collector.centre.stores.sqlite import SqliteStore
from collector.edge import agent, collect, sealer, spool
from probe.base import clock
from probe.base.tally import Tally
from probe.register import Register, Said
from probe.wire import release
from probe.wire.consent import BASES, NO, PURPOSES, YES
from probe.wire.events import EVENT, REFUSES
from probe.wire.subscribers import MINOR
from simulator import deployment, population, tap
from simulator.world import Batch, World, place_of

PURPOSE, GROUP, FOREVER_MS = "market_research", 8, 1 << 62
WEEK = ("world.start=2026-10-20T00:00", "world.hours=169",
        f"collector.tables={json.dumps([*collect.DAILY, 'repeat'])}")
DAY = "world.start=2026-10-24T00:00", "world.hours=26"  # all but the table by week
# What the people of a group say, and how many hours after the start: in the middle of a slot; in the first minute of a
# day, while the last slot of the day before is open; a no and a yes on one day, which counts from the next day on.
GROUPS = {"regret": [(9.3517, "withdraw"), (15.2611, "give")], "noon": [(13.1282, "withdraw")],
          "midnight": [(24.0083, "refuse")], "late": [(10.0444, "give")]}
OBJECTORS = ("regret", "noon", "midnight")  # in order of their no

# What an edge and its store leave.  wire: the messages between them, in order; files: bytes by name; answers: rows, of
# all tables; releases: frames by (table, slot); account: what became of every event.
Left = namedtuple("Left", "wire files answers releases account")


def staged(seed: int, *sets: str, basis="consent", handsets=400) -> deployment.Stage:
    """Return the stage of the village that is heard; with little noise, so that not all answers are hidden."""
    return deployment.checked("village", [
        f"world.seed={seed}", f"world.handsets={handsets}", "world.step_s=900", "population.objection_share=0.3",
        "traffic.refusing_share=0.05", f"privacy.purpose={PURPOSE}", f"privacy.basis={basis}", "privacy.rho_day=10",
        *sets])


def lived(stage: deployment.Stage) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return EVENT[n] of everyone, in order of time, and of each batch (where it ends in them, watermark_ms)."""
    events, batches = [np.zeros(0, EVENT)], list[tuple[int, int]]()

    def keep(batch: Batch) -> None:
        events.append(batch.events.copy())
        batches.append((sum(map(len, events)), batch.watermark_ms))

    settle_ms = deployment.Deployment(stage, Path()).told(Path())[0].lateness_ms
    World(stage.scenario, place_of(stage.scenario, stage.plan)).run(keep, settle_ms)
    return np.concatenate(events), batches


def paired(rows: np.ndarray) -> np.ndarray:
    """Return SUBSCRIBER[n] of which every fourth belongs to the person of the one before."""
    rows["person"][3::4] = rows["person"][2::4][: len(rows[3::4])]
    return rows


def groups_of(rows: np.ndarray) -> dict[str, list[int]]:
    """Return who speaks in each of GROUPS: one subscriber of people who agreed; or had not, when they say yes late."""
    agreed, refused = (np.isin(rows["person"], rows["person"][some]) for some in (
        rows["consent"] & YES[PURPOSE] != 0, (rows["consent"] & NO[PURPOSE] != 0) | (rows["age"] == MINOR)))
    found, taken = dict[str, list[int]](), refused
    for name, ((_, answer), *_) in GROUPS.items():
        able = rows[~taken & (agreed != (answer == "give"))]
        able = able[np.unique(able["person"], return_index=True)[1]][:GROUP]
        found[name], taken = able["subscriber"].tolist(), taken | np.isin(rows["person"], able["person"])
    return found


def windows_of(family: np.ndarray, said: np.ndarray, basis: str, zone: str) -> Iterator[tuple[int, int, int]]:
    """Yield (subscriber, from_ms, until_ms) in which the SUBSCRIBER[n] of one person may be counted.

    said : CHANGE[m] of theirs, in order of time
    The no of one handset holds for all, a minor is never counted.  Who was counted on a local day, and then not any
    more, is not counted again before the next.
    """
    answers = {int(one["subscriber"]): "no" if one["consent"] & NO[PURPOSE] or one["age"] == MINOR else
               "yes" if one["consent"] & YES[PURPOSE] else "open" for one in family}
    since, again_ms = dict[int, int](), 0
    for time_ms, number, yes in [(0, 0, True), *said[["time_ms", "subscriber", "yes"]].tolist()]:
        if number and family["age"].max() != MINOR:
            answers[number] = "yes" if yes else "no"
        for one, answer in answers.items():
            counts = "no" not in answers.values() and (answer == "yes" or basis == "anonymous")
            if counts and one not in since:
                since[one] = max(time_ms, again_ms)
            elif one in since and not counts:
                again_ms = clock.midnights_ms(time_ms, time_ms, zone)[1]
                yield one, since.pop(one), time_ms
    for one, from_ms in since.items():
        yield one, from_ms, FOREVER_MS


class Village:
    """What a world has said, and an edge of so many workers that hears all of it, or less.

    world  : as `lived` returns it;  events : EVENT[n] of everyone;  lawful : bool[n], which of them may be counted
    groups : the subscribers of each of GROUPS;  no_ms : when those of each of OBJECTORS say no
    """

    def __init__(self, stage: deployment.Stage, world: tuple, workers: int, folder: Path):
        self.stage, self._digest, self._folder = stage, stage.plan.digest(), folder
        self.events, self._batches = world
        run, self._private = deployment.Deployment(stage, folder, workers), folder / "private"
        self._private.mkdir(mode=0o700)
        run.write_inputs(self._private)
        rows = paired(Register(self._private / "register").rows.copy())
        shutil.rmtree(self._private / "register")
        register = Register.create(self._private / "register", rows, stage.scenario.world.zone, stage.scenario.start_ms)
        self.rows, self.key, self.groups = rows, register.key, groups_of(rows)
        said = {name: [(stage.scenario.start_ms + round(hours * clock.HOUR_MS), answer) for hours, answer in words]
                for name, words in GROUPS.items()}
        self.no_ms = {name: said[name][0][0] for name in OBJECTORS}
        register.record([Said(number, PURPOSE, answer, time_ms) for name, numbers in self.groups.items()
                         for number in numbers for time_ms, answer in said[name]])
        run.write_epochs(self._private, register)
        _, self._edge, self._sealer, self._store = run.told(self._private)
        self._windows, self.lawful = [*self._all_windows(register)], np.zeros(len(self.events), "?")
        for window in self._windows:
            self.lawful |= self._of(*window)
        self.lawful &= self.events["flags"] & REFUSES == 0
        shards = [population.shard_of(len(rows), worker, workers) for worker in range(workers)]
        self._mine = [np.isin(self.events["subscriber"], rows["subscriber"][np.isin(rows["person"], shard)])
                      for shard in shards]

    def _of(self, number: int, from_ms: int, until_ms: int) -> np.ndarray:
        """Return bool[n]: the events of a subscriber from .. until."""
        who, time_ms = self.events["subscriber"], self.events["time_ms"]
        return (who == number) & (time_ms >= from_ms) & (time_ms < until_ms)

    def _all_windows(self, register: Register) -> Iterator[tuple[int, int, int]]:
        """Yield the windows of everyone: by what people of this world say by themselves, and by the register's log."""
        one, rows, log = self.stage.scenario, self.rows, register.log()
        also = population.changes(rows, one.world.seed, one.population, one.start_ms, one.end_ms, one.world.zone)
        said = np.append(also[~np.isin(also["subscriber"], log["subscriber"])], log)
        said = np.sort(said[said["purpose"] == PURPOSES.index(PURPOSE)], order="time_ms", kind="stable")
        for person in np.unique(rows["person"]):
            family = rows[rows["person"] == person]
            theirs = said[np.isin(said["subscriber"], family["subscriber"])]
            yield from windows_of(family, theirs, self.stage.privacy.basis, one.world.zone)

    def without(self, *groups: str) -> np.ndarray:
        """Return bool[n]: all events but those of these objectors, until they are counted again, if ever."""
        kept = np.ones(len(self.events), "?")
        for name in groups:
            person = self.rows["person"][np.isin(self.rows["subscriber"], self.groups[name])]
            for number in self.rows["subscriber"][np.isin(self.rows["person"], person)].tolist():
                its_ms = [from_ms for one, from_ms, _ in self._windows if one == number]
                again_ms = [from_ms for from_ms in its_ms if from_ms > self.no_ms[name]]
                kept &= ~self._of(number, 0, min(again_ms, default=FOREVER_MS))
        return kept

    def frames(self, kept: np.ndarray) -> Iterator[tuple[int, bytes]]:
        """Yield (worker, frame) as a tap sends them, epochs too, that hears only the events kept, bool[n]."""
        waiting, first = [tap.read_epochs(self._private, worker) for worker in range(len(self._mine))], 0
        for end, watermark_ms in self._batches:
            for worker, mine in enumerate(self._mine):
                batch = Batch(self.events[first:end][(kept & mine)[first:end]], None, None, watermark_ms)
                for frame in tap.frames(batch, self._digest, worker, waiting[worker]):
                    yield worker, frame
            first = end

    def left(self, kept: np.ndarray) -> Left:
        """Return what is left when the edge has heard the events kept, bool[n]."""
        expected, wire, watch = self._store.registered, list[bytes](), clock.WallClock()
        works = [agent.Work(self._edge._replace(worker=worker), watch) for worker in range(len(self._mine))]
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = {name: str(Path(folder, f"{name}.db")) for name in ("spool", "store", "judge")}
            told = self._sealer._replace(spool_path=path["spool"], judge_path=path["judge"])
            store = SqliteStore(path=path["store"]).build()
            with spool.opened(path["spool"], bytes(16)) as sealed, closing(store):
                store.register(expected)
                sealing, taking = sealer.Work(told, sealed), intake.Intake(expected, {1: store.known(1)})
                for worker, frame in self.frames(kept):
                    for part in works[worker].take([frame]):
                        sealing.take([part])
                        while said := sealing.delivery.outgoing(0.0):
                            heard = receiver.handle([(b"", one) for one in said], taking, store, Tally())
                            wire += [*said, *(answer for _, answer in heard)]
                            for _, answer in heard:
                                sealing.delivery.incoming(answer)
                releases = {(one.table, one.slot): frame for its in expected for frame in store.frames(its.table)
                            for one in [release.decode(frame)]}
                asked = [questions.Question(its.name, by=axis) for its in expected for axis in (None, its.axes[-1][0])]
                answers = [row for one in asked for row in questions.answer(store, one)]
            files = {name: Path(one).read_bytes() for name, one in path.items()}
        account = Counter[str]()
        for one in works:
            account.update(one.report()["account"])
        return Left(wire, files, answers, releases, account)

    def still_open(self, table: int, slot: int, at_ms: int) -> bool:
        """Return whether a span was not yet closed at an instant: tables of steps wait a slot, but not at midnight."""
        its = next(one for one in self._store.registered if one.table == table)
        end_ms, zone = its.spans[slot][1], self.stage.scenario.world.zone
        at_midnight = end_ms == clock.midnights_ms(end_ms, end_ms, zone)[0]
        closes_ms = end_ms + self.stage.slots.lateness_s * clock.SECOND_MS if at_midnight else its.due_ms(slot)
        return closes_ms > at_ms


def silence(village: Village, everything: Left, lawful: Left) -> dict[str, Any]:
    """Return what differs once all that may not be counted is deleted.  It was refused, every event of it."""
    less = {name: count - lawful.account[name] for name, count in everything.account.items()}
    deleted = int(np.sum(~village.lawful))
    pairs = {"wire": (everything.wire, lawful.wire), "answers": (everything.answers, lawful.answers),
             **{name: (content, lawful.files[name]) for name, content in everything.files.items()},
             "account": (less, dict.fromkeys(less, 0) | {"offered": deleted, "refused": deleted})}
    return {"claim": "silence", "deleted": deleted, "messages": len(lawful.wire), "releases": len(lawful.releases),
            "published": sum(row["state"] == "published" for row in lawful.answers),
            "differs": [name for name, (one, other) in pairs.items() if one != other]}


def objection(village: Village, name: str, everything: Left, without: Left) -> dict[str, Any]:
    """Return which releases differ without the objectors up to a group: those open at its no may not, others do."""
    still = {key for key in everything.releases if village.still_open(*key, village.no_ms[name])}
    differs = {key for key, frame in everything.releases.items() if without.releases[key] != frame}
    return {"claim": "objection", "of": name, "open": len(still), "sealed_with_them": len(differs - still),
            "differs": sorted(differs & still)}


def judged(seed: int, *sets: str, workers=(1, 2), **given) -> Iterator[dict[str, Any]]:
    """Yield the lines of one world."""
    stage = staged(seed, *sets, **given)
    world = lived(stage)
    for count in workers:
        with tempfile.TemporaryDirectory(prefix="footfall-") as folder:
            village = Village(stage, world, count, Path(folder))
            everything = village.left(village.without())
            head = {"seed": seed, "basis": stage.privacy.basis, "workers": count, "events": len(village.events)}
            yield head | silence(village, everything, village.left(village.lawful))
            for k, name in enumerate(OBJECTORS, 1):
                yield head | objection(village, name, everything, village.left(village.without(*OBJECTORS[:k])))


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True,
              help="How many worlds of a week, one after the other; about a core minute each.")
@click.option("--small", is_flag=True, help="A day of one world instead: less than a minute.")
def main(seeds: int, small: bool) -> None:
    """Whoever says no leaves no trace: a world heard with their events and without, byte by byte.

    Prints one line of JSON for each seed, number of edge workers and claim; `differs` has to be []. Ends with 1 if any
    is not.
    """
    wrong = 0
    for seed in range(1, 2 if small else 1 + seeds):
        for line in judged(seed, *(DAY if small else WEEK), basis=BASES[seed % 2]):
            wrong += len(line["differs"])
            print(json.dumps(line), flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
