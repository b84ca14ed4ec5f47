"""The only thing that leaves the edge: one table and slot, dense, noised, immutable.

A release is one frame: a fixed header of 91 bytes in network order, whose last field is
the SHA-256 of the rest, and a body.  The body of a RELEASE is a statement of what was
promised and the values as fixed-width integers, so that sizes do not speak; that of a
slot that was lost is the reason.
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from fractions import Fraction

import numpy as np

from probe.base.packing import WireError, pack, unpack
from probe.wire.consent import BASES, PURPOSES

__all__ = ["Flag", "Kind", "Release", "Statement", "WireError", "decode", "encode", "sha256_of"]

PROTO, SCHEMA = 1, 1
MAGIC = b"PRL1"
SIZE_MAX = (1 << 20) - 64  # with its envelope below the 1 MiB of a message
FIXED = struct.Struct("!4sHHI16sQHI8sBHHI")
HEADER_BYTES = FIXED.size + 32
DISCRETE_GAUSSIAN = 1
NO_MECHANISM = 0
UNIT = "subscriber-day"


class Kind(IntEnum):
    """What became of the slot."""

    RELEASE = 1
    LOST = 2
    VOID = 3  # sealed, but its bytes were damaged before they were delivered


class Flag(IntFlag):
    """What befell the system while it counted; nothing here depends on a person."""

    CLOCK_STEP = 1
    PARTIAL_TAP = 2
    DEGRADED = 4
    SEEDED = 8  # the noise can be computed again: such a release protects nobody


@dataclass(frozen=True)
class Statement:
    """What a release promises.  Tally units are the integers that the noise was added to."""

    table: str
    axes: str  # of the rows; the list behind it is named by the header's axes hash
    value_unit: str
    tally_units: int  # tally units in one value
    slot_s: int
    slots_a_day: int  # at most, on a local day of 25 hours
    bound: int  # what one subscriber can add to one slot at most (L2), tally units
    sigma_p: int  # sigma = sigma_p / sigma_d, tally units
    sigma_d: int
    rho: Fraction  # of one subscriber-day in this table, by the sigma above
    basis: str
    purpose: str
    consent_epoch: int
    warming: bool  # people are still being met: after a start, after a local midnight

    @property
    def sigma(self) -> float:
        """Return the standard deviation of one value, in value units."""
        return self.sigma_p / self.sigma_d / self.tally_units


@dataclass(frozen=True)
class Release:
    """One sealed slot.  statement and values stand in a RELEASE, reason in the other kinds."""

    probe: int
    inc: bytes  # 16 bytes that name the spool
    seq: int
    table: int
    slot: int  # on the grid of the table
    axes: bytes  # 8 bytes: digest of the public list of rows
    kind: Kind
    flags: Flag
    statement: Statement | None = None
    values: np.ndarray | None = None  # i8[rows]
    reason: str = ""

    @property
    def key(self) -> tuple[int, int, int]:
        """Return (probe, table, slot): there is at most one value under it."""
        return self.probe, self.table, self.slot


def rho_of(bound: int, slots_a_day: int, sigma_p: int, sigma_d: int) -> Fraction:
    """Return the exact zCDP budget of one subscriber-day: slots bound^2 / (2 sigma^2)."""
    return Fraction(slots_a_day * bound**2 * sigma_d**2, 2 * sigma_p**2)


def encode(release: Release) -> bytes:
    """Return the frame of a release."""
    body = _body(release)
    mechanism = DISCRETE_GAUSSIAN if release.kind == Kind.RELEASE else NO_MECHANISM
    fixed = FIXED.pack(
        MAGIC, PROTO, SCHEMA, release.probe, release.inc, release.seq, release.table, release.slot,
        release.axes, release.kind, release.flags, mechanism, len(body),
    )  # fmt: skip
    frame = fixed + hashlib.sha256(fixed + body).digest() + body
    if len(frame) > SIZE_MAX:
        raise WireError(f"release: {len(frame)} bytes, at most {SIZE_MAX} allowed")
    return frame


def sha256_of(frame: bytes) -> bytes:
    """Return the hash that names the content of a frame."""
    return frame[FIXED.size : HEADER_BYTES]


def decode(frame: bytes) -> Release:
    """Return the release in a frame, or raise WireError.  Header and hash come before the body."""
    if not HEADER_BYTES <= len(frame) <= SIZE_MAX:
        raise WireError(f"release: {len(frame)} bytes, expected {HEADER_BYTES} to {SIZE_MAX}")
    fixed, body = frame[: FIXED.size], frame[HEADER_BYTES:]
    magic, proto, schema, probe, inc, seq, table, slot, axes, kind, flags, mechanism, size = FIXED.unpack(
        fixed
    )
    if (magic, proto, schema) != (MAGIC, PROTO, SCHEMA):
        raise WireError(f"release: {magic!r} protocol {proto} schema {schema} is unknown")
    if size != len(body) or hashlib.sha256(fixed + body).digest() != sha256_of(frame):
        raise WireError("release: the body is not what the header says")
    if kind not in (1, 2, 3) or flags > 15 or seq >= 1 << 63:
        raise WireError("release: kind, flags or sequence number out of range")
    if mechanism != (DISCRETE_GAUSSIAN if kind == Kind.RELEASE else NO_MECHANISM):
        raise WireError(f"release: mechanism {mechanism} does not go with kind {kind}")
    head = Release(probe, inc, seq, table, slot, axes, Kind(kind), Flag(flags))
    return _with_body(head, body)


STATEMENT = (str, str, str, int, int, int, int, int, int, int, int, str, str, int, bool, bytes)


def _body(release: Release) -> bytes:
    if release.kind != Kind.RELEASE:
        return pack([release.reason])
    s, values = release.statement, release.values
    assert s is not None and values is not None
    return pack([
        s.table, s.axes, s.value_unit, s.tally_units, s.slot_s, s.slots_a_day, s.bound, s.sigma_p, s.sigma_d,
        s.rho.numerator, s.rho.denominator, s.basis, s.purpose, s.consent_epoch, s.warming,
        values.astype("<i8").tobytes(),
    ])  # fmt: skip


def _with_body(head: Release, body: bytes) -> Release:
    fields = dict(vars(head))
    if head.kind != Kind.RELEASE:
        (reason,) = unpack(body, (str,), "release body", 256)
        return Release(**{**fields, "reason": reason})
    *stated, raw = unpack(body, STATEMENT, "release body", SIZE_MAX)
    words, numbers, (basis, purpose, epoch, warming) = stated[:3], stated[3:11], stated[11:]
    if min(numbers) < 1 or epoch < 0 or any(not 0 < len(word) <= 64 for word in words):
        raise WireError("release body: a number that must be positive is not, or a name has no fit length")
    slots_a_day, bound, sigma_p, sigma_d, numerator, denominator = numbers[2:]
    rho = rho_of(bound, slots_a_day, sigma_p, sigma_d)
    if (rho.numerator, rho.denominator) != (numerator, denominator):
        raise WireError("release body: the budget stated is not that of the noise stated")
    if basis not in BASES or purpose not in PURPOSES or len(raw) % 8 or not raw:
        raise WireError("release body: basis, purpose or values are not what they should be")
    promised = (*words, *numbers[:6], rho, basis, purpose, epoch, warming)
    statement = Statement(*promised)  # type: ignore[call-arg]
    return Release(**{**fields, "statement": statement, "values": np.frombuffer(raw, "<i8")})
