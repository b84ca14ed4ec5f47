"""After a local day nothing of it is in the memory of the edge: planted persons are found before, and gone after.

The edge runs in a process of its own, for its memory cannot be made ordinary again.  It knows nothing of what is
looked for: it hands over the memory that it can write to, byte by byte, and says where its rows begin.
"""

import ctypes
import itertools
import json
import mmap
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import zmq

from collector.edge import agent
from collector.edge.collect import DAILY
from collector.edge.crowd import WEEK
from collector.edge.kernels.tallies import PERSON
from collector.edge.kernels.visits import DAY
from collector.edge.records import RECORD
from probe.base import process
from probe.base.clock import HOUR_MS, WallClock, epoch_ms
from probe.wire import cells, events, subscribers
from probe.wire.consent import YES
from tests.builders_consent import EVER_MS, KEY, an_epoch
from tests.oracles_count import siphash_2_4

START_MS = epoch_ms(datetime(2026, 5, 12), "Europe/Berlin")
LATENESS_MS, MINUTE_MS, DAY_MS, SIDE = 60_000, 60_000, 86_400_000, 4
FIRST, CANARIES, CROWD, BLOCK = 262_030_000_000_001, 2, 3_000, 1 << 20
SOCKETS, ARENA = "of the thread behind the sockets", 64 << 20  # glibc: where malloc puts blocks of another thread
HAND_OVER, END = b"hand over", b"end"
ROW = np.dtype([("lower", "<u4"), ("now", PERSON), ("days", DAY)])
CUTS = 0, 1, 3, 9, 20, 60, 300, 1_500  # of the events of an hour, into batches
NOTHING, FREED, SMALL = "nothing", "what is freed", "small blocks"  # that a mutant leaves as it is

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="only glibc overwrites what is freed")


# ---- the edge, in a process of its own


def edge(folder, left):
    """Take what comes, as a worker does; hand over the memory whenever told to."""
    memory = os.open("/proc/self/mem", os.O_RDONLY)  # later nobody may
    if left != FREED:
        agent.keep_memory_private()
    if left == SMALL:
        agent.Work.overwrite = lambda self: None
    areas, tables = {"": str(folder / "areas.geojson")}, [*DAILY, "repeat"]
    work = agent.Work(agent.WorkerConfig(
        str(folder / "plan.csv"), areas, str(folder / "subscribers"), "tcp://127.0.0.1:1", "market_research", "consent",
        "Europe/Berlin", START_MS, START_MS + 8 * DAY_MS, 0, 1, None, {}, {"tables": tables}, {}), WallClock())
    with process.sockets((zmq.PULL, agent.WORLD)) as (source,):
        work.take([an_epoch(1, 0, EVER_MS)])
        source.bind("tcp://127.0.0.1:*")
        os.write(1, process.endpoint(source).encode() + b"\n")
        while (frames := source.recv_multipart()) != [END]:
            if frames == [HAND_OVER]:
                hand_over(memory, work)
            else:
                work.take(frames)


def hand_over(memory, work):
    """Write to stdout where things are, which mappings there are, and their bytes; leave no copy of them behind."""
    crowd, weeks = work._crowd._persons, work._crowd._weeks[0]
    arrays = {"keys": work._probe._keys.keys, "week keys": work._probe._weeks.keys, "persons": crowd.arrays[0],
              "table": crowd._table, "weeks": weeks.arrays[0], "week table": weeks._table}
    where = {name: (array.ctypes.data, array.nbytes) for name, array in arrays.items()}
    block = mmap.mmap(-1, BLOCK)
    through, mine = memoryview(block), np.frombuffer(block, "u1").ctypes.data
    found = re.findall(r"(\w+)-(\w+) rw\S+ \S+ \S+ \S+ *(.*)", Path("/proc/self/maps").read_text())
    mappings = [(int(begin, 16), int(end, 16), name) for begin, end, name in found]
    mappings = [one for one in mappings if not one[0] <= mine < one[1]]
    os.write(1, json.dumps([where, crowd.used, mappings]).encode() + b"\n")
    for begin, end, _ in mappings:
        while begin < end:
            held = os.preadv(memory, [through[: end - begin]], begin)
            begin, sent = begin + held, 0
            while sent < held:
                sent += os.write(1, through[sent:held])
    through[:] = bytes(BLOCK)


# ---- what it hears


def live(send):
    """Send a week of batches, and say before midnight, after it, and after the week that memory is to be seen."""
    for hour in range(24):
        begin_ms = START_MS + hour * HOUR_MS
        for first, last in itertools.pairwise(CUTS):  # Python, numpy and malloc keep small blocks for themselves
            send(day(0, hour)[first:last], begin_ms)
        send(day(0, hour)[last:], begin_ms + 50 * MINUTE_MS)
    yield
    send(day(0, 23)[:40], START_MS + DAY_MS + LATENESS_MS + 1)  # of yesterday, not yet late
    send(day(1, 0)[80:90], START_MS + DAY_MS + LATENESS_MS + 2_000)  # little, so that little is used again
    yield
    for later, hour in itertools.product(range(1, 7), range(0, 24, 3)):
        send(day(later, hour), START_MS + later * DAY_MS + (hour + 1) * HOUR_MS)
    send(day(6, 23), START_MS + 7 * DAY_MS + LATENESS_MS + 1)
    send(day(7, 0)[80:90], START_MS + 7 * DAY_MS + LATENESS_MS + 2_000)
    yield


def day(number, hour):
    """EVENT[n] of an hour, mixed: the crowd twice and anywhere, each canary 30 times on a way of its own."""
    chance = np.random.default_rng(100 * number + hour)
    who = np.append(np.tile(np.arange(CANARIES), 30), np.tile(np.arange(CANARIES, CANARIES + CROWD), 2))
    rows, half = np.zeros(len(who), events.EVENT), chance.integers(2, size=len(who))
    rows["ta"], rows["rsrp"], rows["neighbour_pci"] = events.NO_TA, events.NO_RSRP, events.NO_PCI
    rows["kind"], rows["subscriber"] = events.Kind.SERVICE_REQUEST, FIRST + who
    rows["cell"] = chance.integers(SIDE * SIDE, size=len(who))
    for canary in range(CANARIES):
        way = np.random.default_rng(canary).permutation(SIDE * SIDE)
        rows["cell"][who == canary] = way[(2 * hour + half[who == canary]) % len(way)]
    rows["time_ms"] = START_MS + number * DAY_MS + hour * HOUR_MS + half * 25 * MINUTE_MS
    rows["time_ms"] += chance.integers(25 * MINUTE_MS, size=len(who))
    return rows[np.append(np.arange(30), 30 + chance.permutation(len(who) - 30))]  # canaries are among the first


# ---- who looks at it


class Memory:
    """The memory of a process as it was: mappings by their first address."""

    def __init__(self, source):
        where, self.used, mappings = json.loads(source.readline())
        self.raw, self.mappings, joined = {}, [], []
        for one in mappings:  # the system splits a mapping where it pages in another way
            if joined and one[0] % ARENA and joined[-1][1:] == [one[0], one[2]]:
                joined[-1][1] = one[1]
            else:
                joined.append(one)
        for begin, end, name in joined:
            name = name or (SOCKETS if begin % ARENA == 0 else "anonymous")
            held = source.read(end - begin)
            self.raw |= {what: held[at - begin :][:size] for what, (at, size) in where.items() if begin <= at < end}
            pages = np.frombuffer(held, "u1").reshape(-1, mmap.PAGESIZE)
            used = np.flatnonzero(pages.any(1))  # most were never written to
            for some in np.split(used, np.flatnonzero(np.diff(used) > 1) + 1) if len(used) else ():
                self.mappings.append((begin + int(some[0]) * mmap.PAGESIZE, name, pages[some].tobytes()))

    def array(self, name, dtype):
        """Return the array of that name."""
        return np.frombuffer(self.raw[name], dtype)

    def found(self, wanted):
        """Return {what: places} of those that stand anywhere; a socket may still hold the last small batches."""
        hits = {what: [f"{name} {begin + held.find(needle):x}" for begin, name, held in self.mappings
                       if needle in held and not (name == SOCKETS and what.startswith("small"))]
                for what, needle in wanted.items()}
        return {what: places for what, places in hits.items() if places}


def spelled(name, number):
    """The forms in which a number of 64 bits may stand."""
    return {f"{name}, little": number.to_bytes(8, "little"), f"{name}, big": number.to_bytes(8, "big"),
            f"{name}, digits": b"%d" % number, f"{name}, hex": b"%x" % number, f"{name}, HEX": b"%X" % number}


def spelled_key(name, key):
    """The forms in which a key may stand: whole, by halves, and as SipHash begins with it."""
    halves = [int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")]
    begun = [halves[k % 2] ^ int.from_bytes(word, "big") for k, word in enumerate(
        (b"somepseu", b"dorandom", b"lygenera", b"tedbytes"))]
    return {name: key} | {f"{name}, part {k}": part.to_bytes(8, "little") for k, part in enumerate(halves + begun)}


def entry_of(table, pseudonym, row):
    """The word in an open-addressing table: the upper half, and row + 1."""
    word = (pseudonym >> 32 << 32) | (row + 1)
    assert word in table.tolist()
    return word.to_bytes(8, "little")


def of_the_day(memory):
    """What there is of each canary on the day that memory was taken: its bytes by name."""
    wanted = spelled_key("key of the day", key := memory.array("keys", "u1")[:16].tobytes())
    persons, table = memory.array("persons", ROW)[: memory.used], memory.array("table", "u8")
    now, days = persons["now"], persons["days"]
    for canary in range(CANARIES):
        pseudonym, name = siphash_2_4(key, canary.to_bytes(8, "little")), f"canary {canary}"
        row = np.flatnonzero(persons["lower"] == pseudonym & 0xFFFFFFFF).item()
        assert np.all(days[row]["entry"] > 0) and np.all(days[row]["slot"] > 0), "a whole day"
        wanted |= spelled(name, pseudonym) | {
            f"{name}, where now": persons[row].tobytes()[:8], f"{name}, row": entry_of(table, pseudonym, row),
            f"{name}, entries": days[row]["entry"].tobytes(), f"{name}, caps": days[row]["slot"].tobytes()
            + days[row]["pair"].tobytes(), f"{name}, visits": visits(now[row], days[row]["entry"])}
    heard = {f"small batch, event {k}": day(0, 23)[k] for k in CUTS[:5]} | {
        f"large batch, event {k}": day(0, 23)[k] for k in (900, CANARIES * 30 + CROWD)}
    return wanted | {what: event.tobytes()[:16] for what, event in heard.items()}  # when and who


def visits(person, entry):
    """The first four RECORDs of a person at the end of the day, as bytes."""
    found = np.zeros(4, RECORD)
    found["time_ms"], found["sign"], found["home"], found["klass"] = START_MS, 1, person["home"], person["klass"]
    found["area"], found["what"] = entry[:4] // 8 - 1, entry[:4] & 7
    found["rank"] = [np.sum(entry[:k] & 7 > 0) for k in range(4)]
    return found.tobytes()


def of_the_week(memory):
    """What there is of each canary in the week that memory was taken in, one day after its beginning."""
    wanted = spelled_key("key of the week", key := memory.array("week keys", "u1")[:16].tobytes())
    weeks, table = memory.array("weeks", WEEK), memory.array("week table", "u8")
    for canary in range(CANARIES):
        pseudonym, name = siphash_2_4(key, canary.to_bytes(8, "little")), f"canary {canary} of the week"
        row = np.flatnonzero((weeks["lower"] == pseudonym & 0xFFFFFFFF) & (weeks["days"][:, 0] > 0)).item()
        wanted |= spelled(name, pseudonym) | {f"{name}, row": entry_of(table, pseudonym, row),
                                              f"{name}, areas": weeks[row].tobytes()[:16]}
    return wanted


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A plan of a cell in each of 16 areas, and everyone a subscriber who said yes."""
    path = tmp_path_factory.mktemp("forgetting")
    plan = "cell_id,site_id,radio,frequency_mhz,latitude,longitude,height_m,azimuth_deg,downtilt_deg,"
    plan += "beamwidth_h_deg,beamwidth_v_deg,gain_dbi,power_dbm,pci,arfcn\n"
    features = []
    for k in range(SIDE * SIDE):
        east, north = 12 + 0.02 * (k % SIDE), 51 + 0.015 * (k // SIDE)
        plan += f"c{k},s{k},LTE,1800,{north + 0.0075},{east + 0.01},25,,6,65,10,15,18,{k},1300\n"
        ring = [(east, north), (east + 0.02, north), (east + 0.02, north + 0.015), (east, north + 0.015), (east, north)]
        features.append({"type": "Feature", "properties": {"area_id": f"a{k}", "residents": 100},
                         "geometry": {"type": "Polygon", "coordinates": [ring]}})
    (path / "plan.csv").write_text(plan)
    (path / "areas.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    rows = np.zeros(CANARIES + CROWD, subscribers.SUBSCRIBER)
    rows["subscriber"], rows["person"] = FIRST + np.arange(len(rows)), np.arange(len(rows))
    rows["consent"] = YES["market_research"]
    (path / "subscribers").write_bytes(subscribers.encode(subscribers.Subscribers(0, rows)))
    (path / "key").write_bytes(KEY)
    return path


def seen(folder, left):
    """What was found of the day before midnight and after it, of the week in it, and of both after it."""
    plan = cells.from_csv((folder / "plan.csv").read_text(), "plan.csv").digest()
    told = [sys.executable, "-m", "tests.collector.edge.test_forgetting", str(folder), left]
    with (process.sockets((zmq.PUSH, {zmq.SNDTIMEO: 120_000, zmq.LINGER: 0})) as (world,),
          subprocess.Popen(told, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as one):
        world.connect(one.stdout.readline().decode().strip())

        def send(rows, watermark_ms):
            world.send(events.encode(events.Batch(plan, watermark_ms, 0, rows)))

        def memories():
            for _ in live(send):
                world.send(HAND_OVER)
                yield Memory(one.stdout)

        before, after, after_week = memories()
        world.send(END)
    assert one.returncode == 0
    wanted, weekly = of_the_day(before), of_the_week(after)
    return before.found(wanted), after.found(wanted), after.found(weekly), after_week.found(wanted | weekly)


def planted(found):
    """What must be there while a day or week lasts, key and rows; other forms and what was left behind may be."""
    whole = "key of the (day|week)|.*(where now|row|entries|caps|areas)"
    return {what for what in found if re.fullmatch(whole, what)}


def test_nothing_of_a_day_or_week_outlives_it_in_memory(folder):
    before, after, in_week, after_week = seen(folder, NOTHING)
    assert len(planted(before)) == 1 + 4 * CANARIES and any("little" in what for what in before)
    assert len(planted(in_week)) == 1 + 2 * CANARIES
    assert after == {}
    assert after_week == {}


@pytest.mark.parametrize("left", [FREED, SMALL])
def test_memory_that_is_not_overwritten_remembers(folder, left):
    """So that the test above can fail, and each of the two means is needed."""
    before, after, in_week, after_week = seen(folder, left)
    assert planted(before) and planted(in_week)
    assert not planted(after) and not planted(after_week), "what is still held at midnight is zeroed on its own"
    assert after or after_week


if __name__ == "__main__":
    edge(Path(sys.argv[1]), sys.argv[2])
