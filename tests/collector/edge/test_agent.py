"""The worker process as its neighbours meet it: sockets in, sockets out, and a report."""

import json
import multiprocessing
import threading
from datetime import datetime

import numpy as np
import pytest
import zmq

from collector.edge import agent, seal
from collector.edge.kernels import retraction
from probe import consent
from probe.base.clock import WallClock, epoch_ms
from probe.base.config import ConfigError
from probe.base.packing import opened
from probe.identity import fingerprints
from probe.wire import cells, events, subscribers
from probe.wire.consent import YES
from tests.builders_consent import EVER_MS, KEY, an_epoch, decision

START_MS = epoch_ms(datetime(2026, 5, 12), "Europe/Berlin")
UNTIL_MS, LATENESS_MS, SLOT_MS = START_MS + 3_600_000, 60_000, 900_000
FIRST = 262_030_000_000_001


def square(area_id, west):
    corners = [(west, 51.0), (west + 0.01, 51.0), (west + 0.01, 51.01), (west, 51.01), (west, 51.0)]
    return {
        "type": "Feature",
        "properties": {"area_id": area_id, "residents": 100},
        "geometry": {"type": "Polygon", "coordinates": [corners]},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A plan of two cells that serve and one that does not, two areas, three subscribers."""
    path = tmp_path_factory.mktemp("edge")
    plan = "cell_id,site_id,radio,frequency_mhz,latitude,longitude,height_m,azimuth_deg,downtilt_deg,"
    plan += "beamwidth_h_deg,beamwidth_v_deg,gain_dbi,power_dbm,pci,arfcn\n"
    for name, radio, longitude in (("a", "LTE", 12.005), ("b", "LTE", 12.015), ("g", "GSM", 12.005)):
        plan += f"{name},{name},{radio},1800,51.005,{longitude},25,,6,65,10,15,18,1,1300\n"
    (path / "plan.csv").write_text(plan)
    areas = {"type": "FeatureCollection", "features": [square("west", 12.0), square("east", 12.01)]}
    (path / "areas.geojson").write_text(json.dumps(areas))
    rows = np.zeros(3, subscribers.SUBSCRIBER)
    rows["subscriber"], rows["person"] = FIRST + np.arange(3), np.arange(3)
    rows["consent"][:2] = YES["market_research"]
    (path / "subscribers").write_bytes(subscribers.encode(subscribers.Subscribers(0, rows)))
    (path / "key").write_bytes(KEY)
    return path


def config(folder, **changes):
    known = {
        "plan_path": str(folder / "plan.csv"),
        "area_paths": {"": str(folder / "areas.geojson")},
        "subscribers_path": str(folder / "subscribers"),
        "sealer_endpoint": "tcp://127.0.0.1:1",
        "purpose": "market_research",
        "basis": "consent",
        "zone": "Europe/Berlin",
        "start_ms": START_MS,
        "until_ms": UNTIL_MS,
        "seed": 1,
        "worker": 0,
        "workers": 1,
        "probe": {},
        "slots": {},
        "collector": {"locator": "serving_cell", "tables": ["presence"]},
    }
    return agent.WorkerConfig(**{**known, **changes})


def frame(folder, watermark_ms, *rows, shard=0):
    """One batch of (ms since the start, who, cell)."""
    plan = cells.from_csv((folder / "plan.csv").read_text(), "plan.csv")
    found = np.zeros(len(rows), events.EVENT)
    found["ta"], found["rsrp"], found["neighbour_pci"] = events.NO_TA, events.NO_RSRP, events.NO_PCI
    found["kind"] = events.Kind.SERVICE_REQUEST
    for row, (after_ms, who, cell) in zip(found, rows, strict=True):
        row["time_ms"], row["subscriber"], row["cell"] = START_MS + after_ms, FIRST + who, cell
    return events.encode(events.Batch(plan.digest(), watermark_ms, shard, found))


def partial(message, epoch=1):
    """(slot, i8[areas]) of a partial tally."""
    worker, table, slot, raw, _, known = opened(message, seal.MAGIC, seal.TYPES, seal.SIZE_MAX)
    assert (worker, table, known) == (0, 1, epoch)
    return slot, np.frombuffer(raw, "<i8")


def test_a_worker_counts_what_it_is_sent_and_reports(folder, monkeypatch):
    """Poisoned frames on the way cost nothing but a count; one partial for each due slot, in order."""
    monkeypatch.setattr(agent, "keep_memory_private", lambda: None)  # this process goes on after the test
    context = zmq.Context()
    sealer, world = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    sealer.setsockopt(zmq.RCVTIMEO, 60_000)
    port = sealer.bind_to_random_port("tcp://127.0.0.1")
    ours, theirs = multiprocessing.Pipe()
    told = config(folder, sealer_endpoint=f"tcp://127.0.0.1:{port}")
    worker = threading.Thread(target=agent.worker_main, args=(told, theirs), daemon=True)
    worker.start()
    try:
        word, ready = ours.recv()
        assert word == "ready"
        world.connect(ready["endpoint"])
        world.send(an_epoch(1, 0, EVER_MS))
        world.send(frame(folder, START_MS + 60_000, (0, 0, 0), (5, 1, 2), (7, 2, 0), (9, 0, 99)))
        world.send(b"poison")
        world.send_multipart([b"two", b"frames"])
        world.send(frame(folder, START_MS, shard=3))
        world.send(frame(folder, UNTIL_MS, (950_000, 0, 1)))
        world.send(frame(folder, UNTIL_MS + SLOT_MS + LATENESS_MS + 1_000, (0, 0, 0)))
        parts = [partial(sealer.recv()) for _ in range(4)]
        heard = dict(until_done(ours))
    finally:
        worker.join(10)
        context.destroy(linger=0)
    assert [slot for slot, _ in parts] == [START_MS // SLOT_MS + k for k in range(4)]
    assert all(tally.sum() == 64 * SLOT_MS for _, tally in parts), "one person, all of the time"
    done = heard["done"]
    assert done["account"] == {
        "offered": 6, "binned": 2, "late": 1, "invalid": 2, "refused": 1, "shed": 0, "waiting": 0,
    }  # fmt: skip
    assert done["poisoned"] == 3 and "shard 3" in done["poisoned_last"]
    assert done["consent"] == {"epoch": 1, "not_taken": {}, "words": []}
    assert set(done["core_s"]) == {"tap", "triangulate", "count"} and done["peak_rss_mb"] > 0


def until_done(pipe):
    """The words of a process up to its last."""
    while True:
        assert pipe.poll(60), "the worker is silent"
        word, content = pipe.recv()
        yield word, content
        if word == "done":
            return


def test_a_worker_stops_when_told(folder, monkeypatch):
    monkeypatch.setattr(agent, "keep_memory_private", lambda: None)
    ours, theirs = multiprocessing.Pipe()
    ours.send(("stop",))
    agent.worker_main(config(folder), theirs)
    assert [word for word, _ in until_done(ours)][-1] == "done"


def test_two_workers_add_up_to_one(folder):
    """The partial tallies of two shards are those of one worker that heard everything."""
    rows = [(k * 1_000, k % 2, k % 3 % 2) for k in range(60)]
    end_ms = START_MS + SLOT_MS + LATENESS_MS

    def tally(*heard):
        work = agent.Work(config(folder), WallClock())
        work.take([an_epoch(1, 0, EVER_MS)])
        return partial(work.take([frame(folder, end_ms, *heard)])[0])[1]

    apart = [tally(*[row for row in rows if row[1] == who]) for who in (0, 1)]
    assert np.array_equal(sum(apart), tally(*rows))


def test_without_a_fresh_epoch_nobody_is_counted_and_one_line_says_so(folder, caplog):
    work, end_ms = agent.Work(config(folder), WallClock()), START_MS + SLOT_MS + LATENESS_MS
    work.take([frame(folder, START_MS + 1, (0, 0, 0), (0, 1, 0))])
    for number, key in ((1, bytes(32)), (1, b"another"), (2, KEY)):
        work.take([an_epoch(number, START_MS, EVER_MS, key=key)])
    work.take([frame(folder, START_MS + 2, (1, 0, 0))])
    ((slot, tally),) = (partial(one, epoch=0) for one in work.take([frame(folder, end_ms)]))
    assert slot == START_MS // SLOT_MS and not tally.any()
    done = work.report()
    assert done["account"]["refused"] == done["account"]["offered"] == 3
    assert done["consent"]["epoch"] == 0
    assert done["consent"]["not_taken"] == {"stale": 3, "broken": 2, "missing": 1}
    assert done["consent"]["words"] == [record.getMessage() for record in caplog.records] and len(caplog.records) == 3
    assert not any(str(FIRST)[:12] in words for words in done["consent"]["words"])


def test_who_says_no_is_taken_out_of_the_slot_that_is_open_and_of_no_other(folder):
    work, said_ms = agent.Work(config(folder), WallClock()), START_MS + SLOT_MS + 100_000
    numbers = np.array([FIRST], "u8")
    work.take([an_epoch(1, START_MS, EVER_MS, decision(said_ms, fingerprints(numbers, KEY)[0]))])
    rows = [(after_ms, who, 0) for after_ms in (0, SLOT_MS + 1_000, SLOT_MS + 200_000) for who in (0, 1)]
    found = [partial(one) for one in work.take([frame(folder, START_MS + 2 * SLOT_MS + LATENESS_MS, *rows)])]
    assert [tally.sum() for _, tally in found] == [2 * 64 * SLOT_MS, 64 * SLOT_MS]
    assert work.account() == {"offered": 6, "binned": 5, "late": 0, "invalid": 0, "refused": 1, "shed": 0, "waiting": 0}


def test_what_an_objector_says_ahead_of_the_watermark_waits_and_leaves_with_their_no(folder):
    work, said_ms = agent.Work(config(folder), WallClock()), START_MS + SLOT_MS + 100_000
    name = fingerprints(np.array([FIRST], "u8"), KEY)[0]
    work.take([an_epoch(1, START_MS, EVER_MS, decision(said_ms, name))])
    rows = [(after_ms, who, 0) for after_ms in (0, SLOT_MS + 200_000) for who in (0, 1)]
    assert not work.take([frame(folder, START_MS + 1, *rows)]) and work.account()["waiting"] == 4
    found = [partial(one) for one in work.take([frame(folder, START_MS + 2 * SLOT_MS + LATENESS_MS)])]
    assert [tally.sum() for _, tally in found] == [2 * 64 * SLOT_MS, 64 * SLOT_MS]
    assert work.account()["refused"] == 1


@pytest.mark.parametrize("leap", [False, True])
def test_no_span_is_sealed_that_ends_after_the_newest_epoch_however_time_goes_on(folder, leap):
    """Who was heard before it is held for an hour.  The register is back for the last slot."""
    work, tables = agent.Work(config(folder), WallClock()), []

    def hear(*after_ms):
        for one in after_ms:
            tables.extend(opened(closed, seal.MAGIC, seal.TYPES, seal.SIZE_MAX)
                          for closed in work.take([frame(folder, START_MS + one)]))

    work.take([an_epoch(1, START_MS, START_MS + SLOT_MS)])
    work.take([frame(folder, START_MS + 1, (0, 0, 0), (0, 1, 0))])
    hear(*([] if leap else range(SLOT_MS // 2, 3 * SLOT_MS, SLOT_MS // 2)), 3 * SLOT_MS + LATENESS_MS)
    work.take([an_epoch(2, START_MS + SLOT_MS, UNTIL_MS)])
    hear(UNTIL_MS - START_MS + SLOT_MS + LATENESS_MS)
    assert [(slot - START_MS // SLOT_MS, epoch) for _, table, slot, _, _, epoch in tables if table == 1] == [
        (0, 1), (1, 0), (2, 0), (3, 2)]


def test_nothing_is_compiled_at_the_first_no(folder):
    """In a process of its own, where nothing was before."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        before, after = pool.apply(compiled, (folder,))
    assert before == after and all(before[name] for name in ("take_out", "go", "take_back", "remove"))


def compiled(folder):
    """How often each kernel of who says no is compiled when the worker is ready, and when somebody has said no."""
    kernels = [one for module in (retraction, consent) for one in vars(module).values() if hasattr(one, "signatures")]

    def counts():
        return {kernel.__name__: len(kernel.signatures) for kernel in kernels}

    work = agent.Work(config(folder), WallClock())
    before, name = counts(), fingerprints(np.array([FIRST], "u8"), KEY)[0]
    work.take([an_epoch(1, START_MS, EVER_MS, decision(START_MS + SLOT_MS, name))])
    work.take([frame(folder, START_MS + 3 * SLOT_MS, (0, 0, 0), (SLOT_MS - 1, 0, 1))])
    return before, counts()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"subscribers_path": "/nowhere"}, "the subscribers file cannot be read"),
        ({"plan_path": "/nowhere"}, "the plan does not exist"),
        ({"slots": {"slot_s": 7}}, "use 900, 1800 or 3600"),
        ({"collector": {"locator": "serving_sell"}}, 'did you mean "serving_cell"'),
        ({"collector": {"tables": ["presense"]}}, 'did you mean "presence"'),
        ({"collector": {"tables": ["dwell@shops"]}}, 'no table "dwell@shops"'),
        ({"probe": {"grade": "tracing"}}, "grade"),
        ({"zone": "Mars"}, "Mars"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_said_before_anything_is_heard(folder, change, words):
    with pytest.raises(ConfigError, match=words):
        agent.Work(config(folder, **change), WallClock())


def test_a_subscribers_file_that_is_none_is_told_without_its_content(folder, tmp_path):
    (tmp_path / "bad").write_bytes(b"262030000000001")
    with pytest.raises(ConfigError) as caught:
        agent.Work(config(folder, subscribers_path=str(tmp_path / "bad")), WallClock())
    assert "262030000000001" not in str(caught.value)


def test_memory_is_private_in_a_worker():
    """In a process of its own, for there is no way back."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        limits, dumpable = pool.apply(private_memory)
    assert limits == (0, 0) and dumpable == 0


def private_memory():
    """What the system says after keep_memory_private: (core limits, dumpable)."""
    import ctypes
    import resource

    agent.keep_memory_private()
    return resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
