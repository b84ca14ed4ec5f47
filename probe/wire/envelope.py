"""What edge and store say to each other: one frame a message, a type byte and a packed list.

edge   HELLO ->                 who I am, what I speak, where my spool stands
store        <- WELCOME         what we speak, how much may be under way, what I hold
edge   BEAT ->                  how far event time has come: what is due
edge   REL ->                   one release
store        <- ACK, NACK       it is durable here; it is not, and why
"""

from enum import StrEnum
from typing import Any, NamedTuple

from probe.base.packing import WireError, pack, unpack

MESSAGE_MAX = 1 << 20
# Why a release was not taken: the first three keep it for later, the others need a person.
Code = StrEnum("Code", "BUSY SKEW UNKNOWN_SCHEMA MALFORMED FORBIDDEN CONFLICT")
LATER = (Code.BUSY, Code.SKEW, Code.UNKNOWN_SCHEMA)


class Hello(NamedTuple):
    """First word of an edge, and again whenever it is not known."""

    protos: list
    schemas: list
    probe: int
    inc: bytes
    next_seq: int
    oldest_unacked: int  # next_seq when nothing waits
    build: str


class Welcome(NamedTuple):
    """The session stands."""

    proto: int
    schema: int
    window: int
    known_inc: bytes  # b"" = none yet
    last_slots: list  # table, slot, table, slot ...: the edge closes every slot up to it


class Rel(NamedTuple):
    """One release, the bytes of the spool."""

    frame: bytes


class Ack(NamedTuple):
    """Durable in the store."""

    inc: bytes
    seq: int
    table: int
    slot: int
    sha256: bytes


class Nack(NamedTuple):
    """Not taken."""

    inc: bytes
    seq: int
    table: int
    slot: int
    sha256: bytes
    code: str
    retry_after_s: int


class Beat(NamedTuple):
    """How far event time has come, and what has been sealed."""

    watermark_ms: int
    last_seq: int  # -1 = nothing yet
    last_slots: list  # table, slot, table, slot ...
    spool_depth: int


Message = Hello | Welcome | Rel | Ack | Nack | Beat
TYPES = (Hello, Welcome, Rel, Ack, Nack, Beat)
SHORT, PAIRS = range(513), range(0, 513, 2)
LENGTHS = {"inc": (16,), "known_inc": (0, 16), "sha256": (32,), "build": range(65), "protos": SHORT, "schemas": SHORT,
           "last_slots": PAIRS}


def encode(message: Message) -> bytes:
    """Return one frame."""
    return bytes([TYPES.index(type(message)) + 1]) + pack(list(message))


def decode(frame: bytes) -> Message:
    """Return the message in a frame, or raise WireError."""
    if not 2 <= len(frame) <= MESSAGE_MAX or not 1 <= frame[0] <= len(TYPES):
        raise WireError(f"message: {len(frame)} bytes, first {frame[:1]!r}")
    kind = TYPES[frame[0] - 1]
    name = kind.__name__.lower()
    message = kind(*unpack(frame[1:], tuple(kind.__annotations__.values()), name, MESSAGE_MAX))
    if wrong := [field for field, value in message._asdict().items() if not fits(field, value)]:
        raise WireError(f"{name}: {', '.join(wrong)} out of range")
    return message


def fits(field: str, value: Any) -> bool:
    """Return whether a value of the right type is in the range of its field."""
    if isinstance(value, int):
        return (-1 if field == "last_seq" else 0) <= value < 1 << 63
    if field == "code":
        return value in list(Code)
    if isinstance(value, list) and not all(type(n) is int and 0 <= n < 1 << 32 for n in value):
        return False
    return len(value) in LENGTHS.get(field, range(MESSAGE_MAX))
