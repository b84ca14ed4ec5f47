"""Message bytes and what is known in, decisions out.  No I/O: the receiver writes and answers."""

from dataclasses import dataclass

from collector.centre.stores import Beaten, Entry, Known, Offered, Refused, Registered, Verdict
from probe.base.packing import WireError
from probe.wire import envelope, release
from probe.wire.envelope import Ack, Beat, Code, Hello, Nack, Rel, Welcome
from probe.wire.release import Kind, Release

WINDOW = 32
RETRY_AFTER_S = 2
NOBODY = bytes(16)
NO_HASH = bytes(32)


@dataclass
class Session:
    """One connection that said HELLO."""

    probe: int
    inc: bytes


@dataclass(frozen=True)
class Decision:
    """What to write, what to answer at once; an entry of a release is answered after the commit."""

    entry: Entry | None = None
    answer: bytes | None = None


class Intake:
    """The store's half of delivery."""

    def __init__(self, registered: list[Registered], known: dict[int, Known]):
        self._registered = {(one.probe, one.table): one for one in registered}
        self._known = known
        self._watermark_ms = {probe: one.watermark_ms for probe, one in known.items()}
        self._inc = {probe: one.inc for probe, one in known.items()}
        self._last = {probe: dict(one.last_slots) for probe, one in known.items()}
        self._frozen = {probe for probe, one in known.items() if one.frozen}
        self._sessions: dict[bytes, Session] = {}

    def take(self, source: bytes, frame: bytes) -> Decision:
        """Return what to do with one message of a connection."""
        session = self._sessions.get(source)
        try:
            message = envelope.decode(frame)
            if isinstance(message, Hello):
                return self._hello(source, message)
            if session is None:
                return _nack(Code.BUSY)
            if isinstance(message, Beat):
                return self._beat(session, message)
            if isinstance(message, Rel):
                return self._release(session, message.frame)
            raise WireError("a message that only a store sends")
        except WireError:
            probe, inc = (session.probe, session.inc) if session else (0, NOBODY)
            return _nack(Code.MALFORMED, inc=inc, entry=Refused(probe, Code.MALFORMED, frame))

    def settle(self, entry: Entry, verdict: Verdict) -> bytes | None:
        """Return the answer to a release once it is durable."""
        if not isinstance(entry, Offered):
            return None
        one, sha256 = entry.release, release.sha256_of(entry.frame)
        if verdict is Verdict.CONFLICT:
            self._frozen.add(one.probe)
            return _nack(Code.CONFLICT, one, sha256).answer
        last = self._last[one.probe]
        last[one.table] = max(one.slot, last.get(one.table, -1))
        return envelope.encode(Ack(one.inc, one.seq, one.table, one.slot, sha256))

    def _hello(self, source: bytes, hello: Hello) -> Decision:
        if hello.probe not in self._known:
            return _nack(Code.FORBIDDEN, inc=hello.inc)
        if release.PROTO not in hello.protos or release.SCHEMA not in hello.schemas:
            return _nack(Code.UNKNOWN_SCHEMA, inc=hello.inc)
        known_inc = self._inc[hello.probe]
        if hello.probe in self._frozen or known_inc not in (b"", hello.inc):
            return _nack(Code.CONFLICT, inc=hello.inc)  # a new spool needs a person
        self._sessions[source] = Session(hello.probe, hello.inc)
        last = [[table, slot] for table, slot in sorted(self._last[hello.probe].items())]
        welcome = Welcome(release.PROTO, release.SCHEMA, WINDOW, known_inc, last)
        return Decision(answer=envelope.encode(welcome))

    def _beat(self, session: Session, beat: Beat) -> Decision:
        self._watermark_ms[session.probe] = max(beat.watermark_ms, self._watermark_ms[session.probe])
        self._inc[session.probe] = session.inc
        return Decision(entry=Beaten(session.probe, session.inc, beat))

    def _release(self, session: Session, frame: bytes) -> Decision:
        one = release.decode(frame)
        sha256 = release.sha256_of(frame)
        if session.probe in self._frozen:
            return _nack(Code.CONFLICT, one, sha256)
        expected = self._registered.get((one.probe, one.table))
        if (one.probe, one.inc) != (session.probe, session.inc) or not _fits(one, expected):
            return _nack(Code.FORBIDDEN, one, sha256, Refused(session.probe, Code.FORBIDDEN, frame))
        assert expected is not None
        due_ms = ((one.slot + 1) * expected.slot_s + expected.lateness_s) * 1_000
        if due_ms > self._watermark_ms[one.probe]:
            return _nack(Code.SKEW, one, sha256)
        return Decision(entry=Offered(one, frame))


def _fits(one: Release, expected: Registered | None) -> bool:
    """Return whether a release is one of those expected: its table, rows and slot."""
    if expected is None or one.axes != expected.axes:
        return False
    if not expected.first_slot <= one.slot < expected.until_slot:
        return False
    if one.kind != Kind.RELEASE:
        return True
    assert one.statement is not None and one.values is not None
    named = (one.statement.table, one.statement.slot_s, len(one.values))
    return named == (expected.name, expected.slot_s, len(expected.areas))


def _nack(
    code: Code,
    one: Release | None = None,
    sha256: bytes = NO_HASH,
    entry: Entry | None = None,
    inc: bytes = NOBODY,
) -> Decision:
    key = (one.inc, one.seq, one.table, one.slot) if one else (inc, 0, 0, 0)
    return Decision(entry, envelope.encode(Nack(*key, sha256, code, RETRY_AFTER_S)))
