"""Who may be counted from when on: a signed and numbered word of the register to the probe.

A no is a fingerprint alone, never a number; a yes brings the subscriber, who was not in the probe's memory before.
The signature covers every byte before it.
"""

import hashlib
import hmac
from typing import NamedTuple

import numpy as np

from probe.base.packing import VERSION, opened, pack, require, rows_of, unpack
from probe.wire.consent import BASES, PURPOSES
from probe.wire.subscribers import SUBSCRIBER

# row: all zero = stop counting whoever has this fingerprint from time_ms on; else count this subscriber from then on
DECISION = np.dtype([("time_ms", "<i8"), ("fingerprint", "<u8"), ("row", SUBSCRIBER)])
MAGIC, SIGNATURE_BYTES, COUNT_MAX, BUNDLE_MAX = "footfall.epoch", 32, 1 << 18, 1 << 30
FRAME_MAX, BEGINS = COUNT_MAX * DECISION.itemsize + 256, b"\x9b\xae" + MAGIC.encode()


class Epoch(NamedTuple("Epoch", [("number", int), ("from_ms", int), ("until_ms", int), ("purpose", str),
                                 ("basis", str), ("shard", int), ("shards", int), ("decisions", np.ndarray)])):
    """What holds in [from_ms, until_ms) for one purpose and basis in a shard of the people.

    number    : rises by one, from 1, in each shard
    decisions : DECISION[n] in order of time, all in that time; one that took effect earlier stands at its begin
    """


def encode(epoch: Epoch, key: bytes) -> bytes:
    """Return the frame, signed with the register's key."""
    *head, decisions = epoch
    signed = pack([MAGIC, VERSION, *head, decisions.tobytes(), bytes(SIGNATURE_BYTES)])[:-SIGNATURE_BYTES]
    return signed + hmac.digest(key, signed, hashlib.sha256)


def decode(frame: bytes, key: bytes) -> Epoch:
    """Return the epoch in a frame, or raise WireError.  Its signature comes first."""
    signed, signature = frame[:-SIGNATURE_BYTES], frame[-SIGNATURE_BYTES:]
    require(hmac.compare_digest(hmac.digest(key, signed, hashlib.sha256), signature), f"{MAGIC}: signature is wrong")
    *head, raw, _ = opened(frame, MAGIC, (int, int, int, str, str, int, int, bytes, bytes), FRAME_MAX)
    one = Epoch._make([*head, rows_of(raw, len(raw) // DECISION.itemsize, DECISION, MAGIC)])
    time_ms, stops = one.decisions["time_ms"], one.decisions["row"]["subscriber"] == 0
    times = one.number > 0 and min(one[1:3]) >= 0 and max(one[:3]) < 1 << 62
    require(times and len(time_ms) <= COUNT_MAX, f"{MAGIC}: number, times or count out of range")
    require(one.purpose in PURPOSES and one.basis in BASES, f"{MAGIC}: purpose or basis is unknown")
    require(0 <= one.shard < one.shards < 1 << 62, f"{MAGIC}: shard out of range")
    inside = np.all((time_ms >= one.from_ms) & (time_ms < one.until_ms)) and np.all(time_ms[1:] >= time_ms[:-1])
    empty = np.all(one.decisions["row"][stops] == np.zeros((), SUBSCRIBER))
    require(bool(inside and empty), f"{MAGIC}: decisions lie outside of its time or in no order, or a no tells more")
    return one


def is_epoch(frame: bytes) -> bool:
    """Return whether a frame says that it is an epoch, by its first bytes."""
    return frame.startswith(BEGINS)


def bundle(frames: list[tuple[int, bytes]]) -> bytes:
    """Return the file of (from_ms, frame), for a tap."""
    sizes = np.array([(from_ms, len(frame)) for from_ms, frame in frames], "<i8")
    return pack([sizes.tobytes(), b"".join(frame for _, frame in frames)])


def bundled(data: bytes) -> list[tuple[int, bytes]]:
    """Return the (from_ms, frame) of a file, or raise WireError."""
    raw, whole = unpack(data, (bytes, bytes), f"{MAGIC}s", BUNDLE_MAX)
    require(len(raw) % 16 == 0, f"{MAGIC}s: sizes are cut")
    ends, sizes = 0, np.frombuffer(raw, "<i8").reshape(-1, 2).tolist()
    frames = [(from_ms, whole[(begin := ends) : (ends := begin + size)]) for from_ms, size in sizes]
    require(ends == len(whole), f"{MAGIC}s: not of the size that is declared")
    return frames
