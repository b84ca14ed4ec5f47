"""Who says no is gone from the memory of the edge with the next slot, and who never said yes is not in it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import zmq

from probe.base import process
from probe.base.clock import HOUR_MS
from probe.identity import fingerprints
from probe.wire import cells, events, subscribers
from tests.builders_consent import EVER_MS, KEY, an_epoch, decision
from tests.collector.edge import test_forgetting as forgetting
from tests.collector.edge.test_forgetting import FIRST, START_MS, folder, pytestmark  # noqa: F401
from tests.oracles_count import siphash_2_4

NEVER, HOURS = 262_039_876_543_210, 4
CUTS = 0, 1, 5, 30, 300  # small batches too: Python, numpy and malloc keep their blocks for themselves


def of(canary, memory):
    """What there may be of a canary: its bytes by name."""
    name, number = f"canary {canary}", FIRST + canary
    keys = {of: memory.array(of, "u1")[:16].tobytes() for of in ("keys", "week keys")}
    found = {f"small {what}": form for what, form in forgetting.spelled(f"number of {name}", number).items()}
    found |= forgetting.spelled(f"fingerprint of {name}", int(fingerprints(np.array([number], "u8"), KEY)[0]))
    for what, key in keys.items():
        found |= forgetting.spelled(f"{what}, {name}", siphash_2_4(key, canary.to_bytes(8, "little")))
    return found


def test_nothing_of_who_says_no_is_in_memory_once_the_next_slot_is_closed(folder):  # noqa: F811
    known = subscribers.decode((folder / "subscribers").read_bytes())
    rows = np.append(known.rows, known.rows[-1:])
    rows["subscriber"][-1], rows["person"][-1], rows["consent"][-1] = NEVER, 1 << 40, 0
    (folder / "subscribers").write_bytes(subscribers.encode(known._replace(rows=rows)))
    plan = cells.from_csv((folder / "plan.csv").read_text(), "plan.csv").digest()
    told = [sys.executable, "-m", "tests.collector.edge.test_forgetting", str(folder), forgetting.NOTHING]
    with (process.sockets((zmq.PUSH, {zmq.SNDTIMEO: 120_000, zmq.LINGER: 0})) as (world,),
          subprocess.Popen(told, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as one):
        world.connect(one.stdout.readline().decode().strip())

        def hour(number):
            rows, begin_ms = forgetting.day(0, number), START_MS + number * HOUR_MS
            never = rows[:30].copy()
            never["subscriber"] = NEVER
            rows = np.concatenate([rows[:3], never[:10], rows[3:200], never[10:], rows[200:]])
            for first, last in zip(CUTS, (*CUTS[1:], len(rows)), strict=True):
                watermark_ms = begin_ms + (0 if last < len(rows) else 50 * 60_000)
                world.send(events.encode(events.Batch(plan, watermark_ms, 0, rows[first:last])))

        def seen():
            world.send(forgetting.HAND_OVER)
            return forgetting.Memory(one.stdout)

        for number in range(HOURS):
            hour(number)
        before = seen()
        said_ms, name = START_MS + HOURS * HOUR_MS - 60_000, fingerprints(np.array([FIRST], "u8"), KEY)[0]
        world.send(an_epoch(2, said_ms, EVER_MS, decision(said_ms, name)))
        hour(HOURS)  # who said no, and who never said yes, go on talking
        hour(HOURS + 1)
        after = seen()
        world.send(forgetting.END)
    assert one.returncode == 0
    never, found = forgetting.spelled("small, of who never said yes", NEVER), before.found(of(0, before))
    never |= forgetting.spelled("fingerprint of them", int(fingerprints(np.array([NEVER], "u8"), KEY)[0]))
    assert all(any(what in one for one in found) for what in ("fingerprint of", "keys, ")), found.keys()
    assert after.found(of(0, after)) == {}
    assert before.found(never) == after.found(never) == {}
    assert after.found(of(1, after)), "the other is there still"
