"""The world process: frames in order over a real socket, a report, and a stop that is heeded."""

from multiprocessing import Pipe
from threading import Thread

import numpy as np
import pytest
import zmq

from probe.register import NEVER_MS
from probe.wire import cells, epochs, events
from probe.wire.subscribers import MINOR
from simulator import population, truth
from simulator.tap import WorldConfig, epochs_path, world_main
from tests.builders_signalling import digest, events_digest, plan_of, small


class Process:
    """world_main in a thread, with the pipe and the socket of its neighbours."""

    def __init__(self, tmp_path, *sets, speed=0.0):
        self.scenario = small(*sets)[0]
        path = tmp_path / "plan.csv"
        self.plan = plan_of(self.scenario)
        path.write_text(cells.to_csv(self.plan), encoding="utf-8")
        self.pipe, theirs = Pipe()
        areas = self.scenario.areas.elsewhere + 1
        views = truth.views({"": self.scenario.areas}, {"presence": ("slot", areas), "moves": ("slot", 2 * areas)})
        start_ms, end_ms = self.scenario.start_ms, self.scenario.end_ms
        begins_ms = range(start_ms, end_ms, 900_000)
        self.epochs = [(begin_ms, epochs.BEGINS + b"%d" % begin_ms) for begin_ms in begins_ms]
        epochs_path(tmp_path, 0).write_bytes(epochs.bundle(self.epochs))
        windows = [(person, 900_000, NEVER_MS if person % 2 else 900_000) for person in range(24)]
        np.save(tmp_path / "windows.npy", np.array(windows, "i8"))
        config = WorldConfig(self.scenario, str(path), 0, 1, "market_research", "consent", speed, 60_000, views,
                             str(tmp_path))
        self.thread = Thread(target=world_main, args=(config, theirs), daemon=True)
        self.thread.start()
        self.socket = zmq.Context.instance().socket(zmq.PULL)
        self.socket.rcvtimeo = 60_000
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")

    def start(self):
        assert self.pipe.recv() == ("ready", {})
        self.pipe.send(("start", {"endpoint": f"tcp://127.0.0.1:{self.port}"}))

    def batches(self):
        end_ms, told_ms, waiting = self.scenario.end_ms + 61_000, 0, self.epochs.copy()
        while True:
            frame = self.socket.recv()
            if epochs.is_epoch(frame):
                begin_ms, wanted = waiting.pop(0)
                assert frame == wanted and begin_ms >= told_ms, "an epoch goes before the events of its time"
                continue
            batch = events.decode(frame)
            assert not waiting or batch.rows["time_ms"].max(initial=0) < waiting[0][0], "and no event before its epoch"
            told_ms = batch.watermark_ms
            yield batch
            if batch.watermark_ms >= end_ms:
                return

    def done(self):
        while True:
            word, report = self.pipe.recv()
            if word == "done":
                self.thread.join(60)
                self.socket.close(0)
                return report


def test_a_run_ships_every_event_in_order_and_reports(tmp_path):
    process = Process(tmp_path)
    process.start()
    watermark_ms, rows = 0, []
    for batch in process.batches():
        assert batch.plan_digest == process.plan.digest() and len(batch.rows) <= 16_384
        assert batch.watermark_ms >= watermark_ms
        assert np.all(np.diff(batch.rows["time_ms"]) >= 0)
        assert not len(batch.rows) or batch.rows["time_ms"][0] >= watermark_ms
        watermark_ms = batch.watermark_ms
        rows.append(batch.rows)
    assert len(rows[-1]) == 0
    report = process.done()
    assert report["events"] == sum(map(len, rows)) == report["load"]["cells"][:, 2].sum()
    assert events_digest(report["bucket_digests"]) == digest()
    presence, persons = report["truth"]["presence"].cells, 80  # 24 handsets at a share of 0.3
    assert np.all(presence[:, :, 0].sum(axis=1) == persons * 900_000) and len(presence) == 8
    minor = population.classes(process.scenario.world.seed, persons, process.scenario.population)[0][:24] == MINOR
    said_yes = (~minor[1::2]).sum() * 900_000  # who are odd, after the first slot; the others never
    assert minor.any() and presence[:, :, 2].sum(axis=1).tolist() == [0] + [said_yes] * 7
    assert not report["stopped"] and set(report["core_s"]) == {"world", "ship", "truth"}


@pytest.mark.parametrize("speed", [0.0, 30.0])
def test_a_stop_is_heeded_at_once(tmp_path, speed):
    process = Process(tmp_path, "world.hours=48", speed=speed)
    process.start()
    process.socket.recv()
    process.pipe.send(("stop",))
    report = process.done()
    assert report["stopped"] and report["truth"] is None
    assert report["time_ms"] < process.scenario.end_ms


def test_a_stop_before_the_start_ends_it(tmp_path):
    process = Process(tmp_path)
    assert process.pipe.recv() == ("ready", {})
    process.pipe.send(("stop",))
    assert process.done()["stopped"]
