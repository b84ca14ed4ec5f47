"""Message bytes and what is known in, decisions out.  No I/O: the receiver writes and answers."""

from math import prod
from typing import NamedTuple

from collector.centre.stores import Beaten, Entry, Known, Offered, Refused, Registered, Verdict
from probe.base import clock
from probe.base.packing import WireError
from probe.wire import envelope, release
from probe.wire.envelope import Ack, Beat, Code, Hello, Nack, Rel, Welcome

WINDOW, RETRY_AFTER_S = 32, 2


class Decision(NamedTuple("Decision", [("entry", Entry | None), ("answer", bytes | None)])):
    """What to write, what to answer at once; an offered release is answered after the commit."""


class Intake:
    """The store's half of delivery."""

    def __init__(self, registered: list[Registered], known: dict[int, Known]):
        self._registered, self._known = {(one.probe, one.table): one for one in registered}, known
        self._sessions: dict[bytes, tuple[int, bytes]] = {}  # connection: (probe, inc)

    def take(self, source: bytes, frame: bytes) -> Decision:
        """Return what to do with one message of a connection."""
        probe, inc = self._sessions.get(source, (0, bytes(16)))
        try:
            message = envelope.decode(frame)
            if isinstance(message, Hello):
                return self._hello(source, message)
            if source not in self._sessions:
                return nack(Code.BUSY, inc)
            if isinstance(message, Beat):
                its = [one for (of, _), one in self._registered.items() if of == probe]
                last_ms = max(one.until_slot * one.slot_s + one.lateness_s for one in its) * clock.SECOND_MS
                passed_ms = max(min(message.watermark_ms, last_ms), self._known[probe].watermark_ms)
                self._known[probe] = self._known[probe]._replace(watermark_ms=passed_ms)
                return Decision(Beaten(probe, inc, message), None)
            if isinstance(message, Rel):
                return self._release(probe, inc, Offered(release.decode(message.frame), message.frame))
            raise WireError("a message that only a store sends")
        except WireError:
            return nack(Code.MALFORMED, inc, entry=Refused(probe, Code.MALFORMED, frame))

    def settle(self, entry: Entry, verdict: Verdict) -> bytes | None:
        """Return the answer to a release, now that what became of it is durable."""
        if not isinstance(entry, Offered):
            return None
        one, known = entry.release, self._known[entry.release.probe]
        if verdict is Verdict.CONFLICT:
            self._known[one.probe] = known._replace(frozen=True)
            return nack(Code.CONFLICT, one.inc, entry).answer
        known.last_slots[one.table] = max(one.slot, known.last_slots.get(one.table, -1))
        return envelope.encode(Ack(one.inc, *named(entry)))

    def _hello(self, source: bytes, hello: Hello) -> Decision:
        known = self._known.get(hello.probe)
        if known is None:
            return nack(Code.FORBIDDEN, hello.inc)
        if release.PROTO not in hello.protos or release.SCHEMA not in hello.schemas:
            return nack(Code.UNKNOWN_SCHEMA, hello.inc)
        if known.frozen or known.inc not in (b"", hello.inc):
            return nack(Code.CONFLICT, hello.inc)  # a new spool needs a person
        self._known[hello.probe], self._sessions[source] = known._replace(inc=hello.inc), (hello.probe, hello.inc)
        stands = WINDOW, known.inc, envelope.pairs(known.last_slots)
        return Decision(None, envelope.encode(Welcome(release.PROTO, release.SCHEMA, *stands)))

    def _release(self, probe: int, inc: bytes, offered: Offered) -> Decision:
        one, known = offered.release, self._known[probe]
        if known.frozen:
            return nack(Code.CONFLICT, inc, offered)
        expected = self._registered.get((probe, one.table))
        stands = known.epochs.get(one.table, (-1, 0))
        forgot = one.statement and one.slot > stands[0] and one.statement.consent_epoch < stands[1]
        if expected is None or (one.probe, one.inc) != (probe, inc) or not fits(one, expected) or forgot:
            return nack(Code.FORBIDDEN, inc, offered, Refused(probe, Code.FORBIDDEN, offered.frame))
        if expected.spans[one.slot][1] > known.watermark_ms:  # at midnight an edge need not wait for who returns
            return nack(Code.SKEW, inc, offered)
        if one.statement:
            known.epochs[one.table] = max(stands, (one.slot, one.statement.consent_epoch))  # for the rest of its group
        return Decision(offered, None)


def fits(one: release.Release, expected: Registered) -> bool:
    """Return whether a release is one of those expected: its cells, its slot, its table."""
    its, axes = one.statement, ",".join(axis for axis, _ in expected.axes)
    wanted = expected.name, axes, expected.value_unit, expected.span, prod(expected.shape)
    stated = its is None or (its.table, its.axes, its.value_unit, its.span, len(one.values)) == wanted
    return stated and one.axes == expected.axes_digest and one.slot in expected.spans


def named(offered: Offered) -> tuple[int, int, int, bytes]:
    """Return what answers call a release: number, table, slot, hash."""
    return offered.release.seq, offered.release.table, offered.release.slot, release.sha256_of(offered.frame)


def nack(code: Code, inc: bytes, offered: Offered | None = None, entry: Entry | None = None) -> Decision:
    """Return a refusal: of a release, or, with zeros, of a connection."""
    key = named(offered) if offered else (0, 0, 0, bytes(32))
    return Decision(entry, envelope.encode(Nack(inc, *key, code, RETRY_AFTER_S)))
