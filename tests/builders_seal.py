"""Small valid things of the sealing half: a statement, a release, a registry, messages."""

import hashlib
from pathlib import Path

import numpy as np

from collector.centre.stores import Offered, Registered
from collector.edge.ledger import PrivacySettings, TableConfig, promise
from probe.wire import release
from probe.wire.release import Flag, Kind, Release

GOLDEN = Path(__file__).parent / "golden"
INC = bytes(range(16))
AXES = b"axes-abc"
FIRST = 1_976_152  # slot of 2026-05-12T00:00+02:00
HOURS = 6
AREAS = [["a", "Altstadt"], ["b", "=Bahnhof"], ["elsewhere", "elsewhere"]]
CODE = "0123456789abcdef"  # golden bytes outlive an edit of the sources
PRESENCE = TableConfig(1, "presence", AXES, "area", 3, "slot", "person-seconds", 64_000, 100 * (900 * 64_000) ** 2)
STATEMENT = promise(PrivacySettings(), PRESENCE)._replace(code=CODE)
HEADS = {  # number, axes, span, value unit, L2^2: of what is counted by heads
    "moves": (3, "area,direction", "slot", "moves", 16), "visitors": (4, "area,role", "day", "persons", 12),
    "dwell": (5, "area,stay,gender", "day", "persons", 12), "origin": (6, "home,area", "day", "persons", 8),
    "flows": (7, "origin,destination", "part", "trips", 8),
    "zone_flows": (8, "origin,destination", "hour", "trips", 8), "repeat": (9, "area,days", "week", "persons", 16),
}  # fmt: skip
TABLES = [
    PRESENCE,
    TableConfig(2, "profile", AXES, "area,age,gender", 63, "part", "person-seconds", 64_000, 105 * 230_400_000**2),
    *(TableConfig(number, name, AXES, axes, 12, span, unit, 1, bound)
      for name, (number, axes, span, unit, bound) in HEADS.items()),
]  # fmt: skip
DAILY = TABLES[:-1]


def golden(name):
    """Return the bytes of a golden file."""
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


def a_release(slot=FIRST, values=(36_000_000, 0, -7), seq=0, **changes):
    content = Kind.RELEASE, Flag.SEEDED, STATEMENT, np.array(values, "i8"), ""
    return Release(1, INC, seq, 1, slot, AXES, *content)._replace(**changes)


def a_release_of(epoch, slot, **changes):
    """Return a release that states this consent epoch."""
    return a_release(slot, statement=STATEMENT._replace(consent_epoch=epoch), **changes)


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


def offered(frame):
    """Return the entry of a frame that is in order."""
    return Offered(release.decode(frame), frame)
