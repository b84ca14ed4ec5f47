"""What edge and store say to each other: one frame a message, a type byte and a packed list.

edge   HELLO ->                 who I am, what I speak, where my spool stands
store        <- WELCOME         what we speak, how much may be under way, what I hold
edge   BEAT ->                  how far event time has come: what is due
edge   REL ->                   one release
store        <- ACK, NACK       it is durable here; it is not, and why
"""

from enum import StrEnum
from typing import Any, NamedTuple, get_type_hints

from probe.base.packing import pack, require, unpack

MESSAGE_MAX = 1 << 20
# Why a release was not taken: the first three keep it for later, the others need a person.
Code = StrEnum("Code", "BUSY SKEW UNKNOWN_SCHEMA MALFORMED FORBIDDEN CONFLICT")
LATER = (Code.BUSY, Code.SKEW, Code.UNKNOWN_SCHEMA)


class Hello(NamedTuple("Hello", [("protos", list), ("schemas", list), ("probe", int), ("inc", bytes),
                                 ("next_seq", int), ("oldest_unacked", int), ("build", str)])):
    """First word of an edge, and again whenever it is not known; oldest_unacked = next_seq when nothing waits."""


class Welcome(NamedTuple("Welcome", [("proto", int), ("schema", int), ("window", int), ("known_inc", bytes),
                                     ("last_slots", list)])):
    """The session stands.  known_inc: b"" = none yet; the edge closes every slot up to those of last_slots."""


class Rel(NamedTuple("Rel", [("frame", bytes)])):
    """One release, the bytes of the spool."""


class Ack(NamedTuple("Ack", [("inc", bytes), ("seq", int), ("table", int), ("slot", int), ("sha256", bytes)])):
    """Durable in the store."""


class Nack(NamedTuple("Nack", [("inc", bytes), ("seq", int), ("table", int), ("slot", int), ("sha256", bytes),
                               ("code", str), ("retry_after_s", int)])):
    """Not taken."""


class Beat(NamedTuple("Beat", [("watermark_ms", int), ("last_seq", int), ("last_slots", list), ("spool_depth", int)])):
    """How far event time has come, and what has been sealed; last_seq -1 = nothing yet."""


Message = Hello | Welcome | Rel | Ack | Nack | Beat
TYPES = (Hello, Welcome, Rel, Ack, Nack, Beat)
LENGTHS = {"inc": (16,), "known_inc": (0, 16), "sha256": (32,), "build": range(65), "protos": range(513),
           "schemas": range(513), "last_slots": range(0, 513, 2)}


def encode(message: Message) -> bytes:
    """Return one frame."""
    return bytes([TYPES.index(type(message)) + 1]) + pack(list(message))


def decode(frame: bytes) -> Message:
    """Return the message in a frame, or raise WireError."""
    known = 2 <= len(frame) <= MESSAGE_MAX and 1 <= frame[0] <= len(TYPES)
    require(known, f"message: {len(frame)} bytes, first {frame[:1]!r}")
    kind = TYPES[frame[0] - 1]
    name, types = kind.__name__.lower(), tuple(get_type_hints(kind).values())
    message = kind(*unpack(frame[1:], types, name, MESSAGE_MAX))
    wrong = [field for field, value in message._asdict().items() if not fits(field, value)]
    require(not wrong, f"{name}: {', '.join(wrong)} out of range")
    return message


def pairs(last_slots: dict[int, int]) -> list[int]:
    """Return table, slot, table, slot ... of the last slots by table: the `last_slots` of a message."""
    return [number for pair in sorted(last_slots.items()) for number in pair]


def fits(field: str, value: Any) -> bool:
    """Return whether a value of the right type is in the range of its field."""
    if isinstance(value, int):
        return (-1 if field == "last_seq" else 0) <= value < 1 << 63
    if isinstance(value, list) and not all(type(n) is int and 0 <= n < 1 << 32 for n in value):
        return False
    return value in list(Code) if field == "code" else len(value) in LENGTHS.get(field, range(MESSAGE_MAX))
