"""The two processes over real loopback sockets, each in a thread of the test."""

import sqlite3
import threading
from contextlib import closing
from datetime import date, datetime
from itertools import pairwise
from multiprocessing import Pipe

import numpy as np
import pytest
import zmq

from collector.centre import intake, receiver
from collector.centre.receiver import StoreConfig, store_main
from collector.centre.stores.sqlite import SqliteStore
from collector.edge import privacy, seal, sealer, spool
from collector.edge.sealer import SealerConfig, sealer_main
from probe.base import clock, process
from probe.base.config import ConfigError
from probe.base.main import RunError
from probe.base.process import loopback
from probe.base.tally import Tally
from probe.wire import envelope, release
from probe.wire.envelope import Beat, Hello, Nack, Rel
from probe.wire.release import Flag
from tests.builders_seal import DAILY, FIRST, INC, PRESENCE, TABLES, a_release_of, registered

SLOT_MS, EPOCH = 900_000, 7
HOURS = 2
SLOTS = 4 * HOURS
WAIT_S = 30


class Child:
    """One process main in a thread, and its parent's end of the pipe."""

    def __init__(self, main, config):
        self.pipe, theirs = Pipe()
        self.failure = None

        def run():
            try:
                main(config, theirs)
            except Exception as error:
                self.failure = error
            theirs.close()

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def hears(self, word):
        while self.pipe.poll(WAIT_S):
            said, content = self.pipe.recv()
            if said == word:
                return content
        raise AssertionError(f"never said {word}")

    def stop(self):
        self.pipe.send(("stop",))
        return self.hears("done")


def sealer_config(folder, endpoint, **changes):
    one = SealerConfig(
        str(folder / "spool.db"), endpoint, 2, [PRESENCE], "Europe/Berlin", FIRST * SLOT_MS, (FIRST + SLOTS) * SLOT_MS,
        slots={}, privacy={}, seed=1, judge_path=str(folder / "judge.db"),
    )  # fmt: skip
    return one._replace(**changes)


def store_config(folder, address="tcp://127.0.0.1:*", expected=None):
    return StoreConfig({"kind": "sqlite", "path": str(folder / "store.db")}, expected or [registered(HOURS)], address)


def part(worker, slot):
    tally = np.array([slot - FIRST, worker, 5], "i8") * 64_000 * 900
    return seal.encode(worker, 1, slot, tally, (slot + 1) * SLOT_MS + 60_000, EPOCH)


def parts_of(worker, slots=SLOTS):
    return [part(worker, slot) for slot in range(FIRST, FIRST + slots)]


def carried(folder, order=(0, 1), slots=SLOTS, parts=parts_of, expected=None, **changes):
    """Run both processes over the parts of two workers; return their reports."""
    store = Child(store_main, store_config(folder, expected=expected))
    sealer = Child(sealer_main, sealer_config(folder, store.hears("ready")["endpoint"], **changes))
    context = zmq.Context()
    try:
        sockets = {worker: context.socket(zmq.PUSH) for worker in order}
        endpoint = sealer.hears("ready")["endpoint"]
        for worker in order:
            sockets[worker].connect(endpoint)
            for frame in parts(worker, slots):
                sockets[worker].send(frame)
        sockets[order[0]].send(b"poison")
        done = sealer.hears("done") if slots == SLOTS else sealer.stop()
        return done, store.stop()
    finally:
        context.destroy(linger=0)
        for child in (store, sealer):
            child.pipe.close()
            child.thread.join(WAIT_S)


def frames(path):
    with sqlite3.connect(path) as db:
        return [frame for (frame,) in db.execute("SELECT frame FROM release ORDER BY seq")]


def test_every_slot_is_sealed_delivered_stored_and_acknowledged(tmp_path):
    done, stored = carried(tmp_path)
    assert (done["sealed"], done["lost"], done["acked"], done["invalid"]) == (SLOTS, 0, SLOTS, 1)
    assert (stored["stored"], stored["conflicts"], stored["quarantined"]) == (SLOTS, 0, 0)
    assert done["core_s"]["seal"] >= 0 and stored["core_s"]["store"] > 0 and done["peak_rss_mb"] > 10
    assert frames(tmp_path / "spool.db") == frames(tmp_path / "store.db")
    with sqlite3.connect(tmp_path / "judge.db") as db:
        tallies = db.execute("SELECT slot, tally FROM presence WHERE cell = 0 ORDER BY slot").fetchall()
    assert tallies == [(FIRST + i, 2 * i * 64_000 * 900) for i in range(1, SLOTS)]  # no zeros


def span_slots(table):
    run_ms = FIRST * SLOT_MS, (FIRST + 96) * SLOT_MS
    return [begin_ms // SLOT_MS for begin_ms, _ in clock.spans(table.span, *run_ms, "Europe/Berlin")]


def a_day_of_all_tables(worker, slots):
    """Yield the parts of a day as a worker sends them; steps and trips a slot later, but at midnight at once."""
    for slot in range(FIRST, FIRST + 96):
        for table in DAILY:
            late = table.name in ("moves", "flows", "zone_flows")
            begins = [*span_slots(table), FIRST + 96]
            for begin, end in pairwise(begins):
                if slot + 1 == end + late * (end < FIRST + 96):
                    tally = np.arange(table.cells) * (1 + worker) * table.tally_units
                    yield seal.encode(worker, table.number, begin, tally, (slot + 1) * SLOT_MS + 60_000, EPOCH)


def test_every_table_of_a_day_arrives_by_its_own_spans(tmp_path):
    """A week that does not end in the run is never due; the ledger's sum is the declared one."""
    expected = [registered(24, table=one.number, name=one.name, span=one.span, value_unit=one.value_unit,
                           lateness_s=60 + 900 * (one.name in ("moves", "flows", "zone_flows")),
                           axes=[[axis, [[str(row), str(row)] for row in range(one.cells if axis == last else 1)]]
                                 for axis in one.axis_names.split(",") for last in [one.axis_names.split(",")[-1]]])
                for one in TABLES]  # fmt: skip
    done, stored = carried(tmp_path, parts=a_day_of_all_tables, expected=expected, tables=TABLES,
                           until_ms=(FIRST + 96) * SLOT_MS)
    due = {one.name: len(span_slots(one)) for one in TABLES}
    assert due == {"presence": 96, "profile": 6, "moves": 96, "visitors": 1, "dwell": 1, "origin": 1, "flows": 6,
                   "zone_flows": 24, "repeat": 0}  # fmt: skip
    assert (done["sealed"], done["lost"], stored["stored"]) == (sum(due.values()), 0, sum(due.values()))
    found = privacy.read(tmp_path)
    assert found["problems"] == [] and {one["table"]: one["releases"] for one in found["tables"]} == {
        name: count for name, count in due.items() if count}  # fmt: skip
    warm = {one.statement.table for one in map(release.decode, frames(tmp_path / "store.db")) if one.statement.warming}
    assert warm == {"presence", "profile", "moves", "flows", "zone_flows"}
    with sqlite3.connect(tmp_path / "judge.db") as db:
        names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        rows = db.execute("SELECT slot, cell, tally FROM zone_flows WHERE cell < 2").fetchall()
    assert names == set(due) and rows == [(slot, 1, 3) for slot in range(FIRST, FIRST + 96, 4)]


def test_a_week_is_paid_for_on_its_first_day_and_begins_with_the_run(tmp_path):
    """Of eleven days one week is whole: it begins on a Tuesday, and holds the Sunday that has 25 hours."""
    begin_ms, end_ms = (clock.epoch_ms(datetime(2026, *day), "Europe/Berlin") for day in ((10, 20), (10, 31)))
    slot, config = begin_ms // SLOT_MS, sealer_config(tmp_path, "", tables=TABLES[-1:], start_ms=begin_ms,
                                                      until_ms=end_ms, workers=1, judge_path=None)  # fmt: skip
    with spool.opened(config.spool_path, INC) as kept:
        work = sealer.Work(config, kept)
        for begins in (slot, slot + 1, slot + 7 * 96 + 4):
            assert not work.closed or begins > slot
            work.take([seal.encode(0, 9, begins, np.ones(12, "i8"), end_ms, EPOCH)])
        assert work.closed and work.delivery.tally == {"sealed": 1, "invalid": 2}
        (charge,), stated = kept.charges(), release.decode(kept.frame(0)).statement
    assert date.fromordinal(charge.day) == date(2026, 10, 20) and charge.rho == stated.rho
    assert (stated.unit, stated.slot_s, stated.warming) == ("subscriber-week", 604_800, False)


def test_a_restart_within_a_day_tells_no_more_of_what_caps_bound(tmp_path):
    """Caps are in memory: after a restart the same person could be granted as much again.  Person-time is conserved."""
    moves = next(one for one in TABLES if one.name == "moves")
    config = sealer_config(tmp_path, "tcp://127.0.0.1:1", workers=1, tables=[PRESENCE, moves], judge_path=None)

    def taken(slots):
        with spool.opened(config.spool_path, INC) as kept:
            work = sealer.Work(config, kept)
            for slot in slots:
                for table in config.tables:
                    work.take([seal.encode(0, table.number, slot, np.zeros(table.cells, "i8"), slot * SLOT_MS, EPOCH)])
            return work.report()["sealed"], work.report()["lost"], list(kept.orphans())

    assert taken(range(FIRST, FIRST + 2)) == (4, 0, [])
    assert taken(range(FIRST + 2, FIRST + 4)) == (2, 2, [])
    with spool.opened(config.spool_path, INC) as kept:
        found = [release.decode(kept.frame(seq)) for seq in range(kept.next_seq)]
    assert [(one.table, one.reason) for one in found if one.reason] == [(moves.number, "restart")] * 2


def test_what_forgot_its_epoch_is_lost_not_sealed_and_charges_nothing(tmp_path):
    """A worker that starts again knows no epoch until the next one comes: it counted nobody, and no store takes it."""
    config = sealer_config(tmp_path, "tcp://127.0.0.1:1", workers=1, judge_path=None)
    with spool.opened(config.spool_path, INC) as kept:
        for epochs in ((0, 3, 4), (0, 0, 5)):
            first, work = kept.closed.get(1, FIRST - 1) + 1, sealer.Work(config, kept)
            for slot, epoch in enumerate(epochs, first):
                work.take([seal.encode(0, 1, slot, np.zeros(3, "i8"), slot * SLOT_MS, epoch)])
        found = [release.decode(kept.frame(seq)) for seq in range(kept.next_seq)]
        assert [one.statement.consent_epoch if one.statement else one.reason for one in found] == [
            "consent", 3, 4, "consent", "consent", 5]  # fmt: skip
        assert len(kept.charges()) == 3


def test_no_instant_of_an_event_leaves_the_edge(tmp_path):
    """The watermark of a batch is when somebody's next event came: the store is told whole slots."""
    with spool.opened((config := sealer_config(tmp_path, "", workers=1)).spool_path, INC) as kept:
        work = sealer.Work(config, kept)
        for slot, passed_ms in enumerate((60_000, 61_234, 899_999), FIRST):
            work.take([seal.encode(0, 1, slot, np.zeros(3, "i8"), (slot + 1) * SLOT_MS + passed_ms, EPOCH)])
            assert work.delivery.watermark_ms == (slot + 1) * SLOT_MS + 60_000


def test_a_restart_of_the_store_forgets_no_epoch(tmp_path):
    """What is here already is still acknowledged; a later slot of an earlier epoch is set apart for a person."""
    settings = SqliteStore(path=str(tmp_path / "store.db"))

    def answers(*said):
        with closing(settings.build()) as store:
            store.register([registered(HOURS)])
            known = intake.Intake(store.registered(), {1: store.known(1)})
            greeting = Hello([1], [release.SCHEMA], 1, INC, 0, 0, ""), Beat((FIRST + 9) * SLOT_MS, 0, [], 0)
            said = [(b"", envelope.encode(one)) for one in (*greeting, *(Rel(release.encode(one)) for one in said))]
            found = [envelope.decode(answer) for _, answer in receiver.handle(said, known, store, Tally())]
            (apart,) = store._db.execute("SELECT count(*) FROM quarantine WHERE why = 'forbidden'").fetchone()
        return [one.code if isinstance(one, Nack) else type(one).__name__ for one in found], apart

    stored = [a_release_of(epoch, FIRST + seq, seq=seq) for seq, epoch in enumerate((4, 5))]
    assert answers(*stored) == (["Welcome", "Ack", "Ack"], 0)
    found, apart = answers(*stored, a_release_of(4, FIRST + 2, seq=2))
    assert sorted(found) == ["Ack", "Ack", "Welcome", "forbidden"] and apart == 1


def test_a_seeded_run_gives_the_same_bytes_in_any_order_of_arrival(tmp_path):
    reports = []
    for name, order in (("one", (0, 1)), ("other", (1, 0))):
        (tmp_path / name).mkdir()
        reports.append(carried(tmp_path / name, order)[0]["tallies"])
    assert len(reports[0]) == 64 and reports[0] == reports[1]
    assert frames(tmp_path / "one/store.db") == frames(tmp_path / "other/store.db")


def test_without_a_seed_the_system_draws_and_nothing_of_a_tally_is_told(tmp_path):
    done, _ = carried(tmp_path, seed=None, judge_path=None)
    assert done["tallies"] == "" and done["sealed"] == SLOTS
    assert not any(release.decode(frame).flags & Flag.SEEDED for frame in frames(tmp_path / "store.db"))


def test_a_stop_ends_with_what_was_due_stored(tmp_path):
    done, stored = carried(tmp_path, slots=3)
    assert done["acked"] == done["sealed"] == stored["stored"] <= 3


def test_what_arrived_before_the_stop_was_heard_is_taken_and_the_stop_remembered(tmp_path, monkeypatch):
    groups = iter([[], [[b"edge", b"poison"]], []])  # the stop is heard after the first look
    monkeypatch.setattr(process, "received", lambda socket: next(groups))
    assert Child(store_main, store_config(tmp_path)).stop()["quarantined"] == 1


@pytest.mark.parametrize(
    "address", ["tcp://0.0.0.0:*", "tcp://*:5555", "tcp://10.0.0.1:9", "ipc://x", "tcp://127.0.0.1"]
)
def test_only_loopback_addresses_are_served(address, tmp_path):
    with pytest.raises(ConfigError, match="not on the loopback interface"):
        loopback(address)
    child = Child(store_main, store_config(tmp_path, address=address))
    child.thread.join(WAIT_S)
    assert isinstance(child.failure, ConfigError)


def test_a_port_in_use_is_said(tmp_path):
    with zmq.Context() as context, context.socket(zmq.PULL) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")
        child = Child(store_main, store_config(tmp_path, address=f"tcp://127.0.0.1:{port}"))
        child.thread.join(WAIT_S)
    assert isinstance(child.failure, RunError) and "in use" in str(child.failure)


WRONG = {
    "a judge without a seed": ({"seed": None}, ConfigError),
    "a store far away": ({"store_endpoint": "tcp://192.0.2.1:5"}, ConfigError),
    "a budget of nothing": ({"privacy": {"rho_day": 0}}, ConfigError),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_sealer_says_so_before_it_is_ready(case, tmp_path):
    changes, error = case
    child = Child(sealer_main, sealer_config(tmp_path, "tcp://127.0.0.1:9", **changes))
    child.thread.join(WAIT_S)
    assert isinstance(child.failure, error)
