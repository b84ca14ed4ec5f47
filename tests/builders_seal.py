"""Small valid things of the sealing half: a statement, a release, a registry, messages."""

import hashlib
from pathlib import Path

import numpy as np

from collector.centre.stores import Registered
from collector.edge.ledger import PrivacySettings, promise
from probe.wire import release
from probe.wire.release import Flag, Kind, Release

GOLDEN = Path(__file__).parent / "golden"
INC = bytes(range(16))
AXES = b"axes-abc"
FIRST = 1_976_152  # slot of 2026-05-12T00:00+02:00
HOURS = 6
AREAS = [["a", "Altstadt"], ["b", "=Bahnhof"], ["elsewhere", "elsewhere"]]
STATEMENT = promise(PrivacySettings(), "presence", 900, 100, 64_000)


def golden(name):
    """Return the bytes of a golden file."""
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


def a_release(slot=FIRST, values=(36_000_000, 0, -7), seq=0, **changes):
    content = Kind.RELEASE, Flag.SEEDED, STATEMENT, np.array(values, "i8"), ""
    return Release(1, INC, seq, 1, slot, AXES, *content)._replace(**changes)


def a_loss(slot=FIRST, reason="crash", seq=0):
    return Release(1, INC, seq, 1, slot, AXES, Kind.LOST, Flag(0), None, None, reason)


def registered(hours=HOURS, **changes):
    """Return presence of three areas from FIRST on; name what is to be otherwise."""
    its = "presence", "slot", "person-seconds", 900, FIRST, FIRST + 4 * hours, 60
    return Registered(1, 1, *its, "Europe/Berlin", AXES, [["area", AREAS]], [])._replace(**changes)


def forged(frame=None, at=0, content=b"", body=None):
    """Return a frame whose header was overwritten at a place, or whose body was; with a good hash."""
    frame = frame or release.encode(a_release())
    fixed = bytearray(frame[: release.FIXED.size])
    fixed[at : at + len(content)] = content
    body = frame[release.HEADER_BYTES :] if body is None else body
    if not content:
        fixed[-4:] = len(body).to_bytes(4, "big")
    return bytes(fixed) + hashlib.sha256(bytes(fixed) + body).digest() + body
