"""The two processes over real loopback sockets, each in a thread of the test."""

import sqlite3
import threading
from multiprocessing import Pipe

import numpy as np
import pytest
import zmq

from collector.centre.receiver import StoreConfig, store_main
from collector.edge import seal
from collector.edge.sealer import SealerConfig, sealer_main
from probe.base import process
from probe.base.config import ConfigError
from probe.base.main import RunError
from probe.base.process import loopback
from probe.wire import release
from probe.wire.release import Flag
from tests.builders_seal import FIRST, PRESENCE, registered

SLOT_MS = 900_000
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
        str(folder / "spool.db"), endpoint, 2, [PRESENCE], "Europe/Berlin", FIRST * SLOT_MS,
        (FIRST + SLOTS) * SLOT_MS, slots={}, privacy={}, seed=1, judge_path=str(folder / "judge.db"),
    )  # fmt: skip
    return one._replace(**changes)


def store_config(folder, address="tcp://127.0.0.1:*"):
    return StoreConfig({"kind": "sqlite", "path": str(folder / "store.db")}, [registered(HOURS)], address)


def part(worker, slot):
    tally = np.array([slot - FIRST, worker, 5], "i8") * 64_000 * 900
    return seal.encode(worker, 1, slot, tally, (slot + 1) * SLOT_MS + 60_000)


def carried(folder, order=(0, 1), slots=SLOTS, **changes):
    """Run both processes over the parts of two workers; return their reports."""
    store = Child(store_main, store_config(folder))
    sealer = Child(sealer_main, sealer_config(folder, store.hears("ready")["endpoint"], **changes))
    context = zmq.Context()
    try:
        sockets = {worker: context.socket(zmq.PUSH) for worker in order}
        endpoint = sealer.hears("ready")["endpoint"]
        for worker in order:
            sockets[worker].connect(endpoint)
            for slot in range(FIRST, FIRST + slots):
                sockets[worker].send(part(worker, slot))
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
