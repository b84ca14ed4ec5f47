"""Releases waiting at the edge: SQLite, durable before anything leaves, checked before it does.

A slot is sealed in two transactions: {intent with its charge}, draw, {release, sequence
number}.  An intent without a release after a crash is a lost slot, never drawn again.
What is acknowledged stays, so that a store that lost its disk can be filled again.
Beside it the edge's half of delivery, without I/O: what to say to the store now, what its answers mean.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from collector.edge.ledger import Charge
from probe.base import config, packing, record, tally
from probe.wire import envelope, release

APPLICATION_ID = 0x46465350  # "FFSP"
BUILD, WINDOW, RETRY_S, SLOT_MAX = f"footfall {version('footfall')}", 32, 2.0, (1 << 32) - 1
SCHEMA = """
CREATE TABLE spool(inc BLOB NOT NULL);
CREATE TABLE intent(tab INTEGER, slot INTEGER, day INTEGER, rho_numerator TEXT, rho_denominator TEXT,
                    PRIMARY KEY(tab, slot)) WITHOUT ROWID;
CREATE TABLE release(seq INTEGER PRIMARY KEY, tab INTEGER, slot INTEGER, sha256 BLOB, frame BLOB, acked INTEGER,
                     UNIQUE(tab, slot))"""


class Spool:
    """One writer's spool over one SQLite connection in autocommit mode: each statement is a transaction.

    waiting : {sequence number: sha256} of what is not acknowledged, oldest first
    closed  : {table: last slot that is closed}; none up to it is ever drawn again
    """

    def __init__(self, db: sqlite3.Connection, inc: bytes):
        self._db = db
        record.prepare(db, APPLICATION_ID, SCHEMA)
        db.execute("INSERT INTO spool SELECT ? WHERE NOT EXISTS (SELECT * FROM spool)", (inc,))
        (self.inc,) = db.execute("SELECT inc FROM spool").fetchone()
        (self.next_seq,) = db.execute("SELECT coalesce(max(seq) + 1, 0) FROM release").fetchone()
        self.waiting: dict[int, bytes] = dict(db.execute("SELECT seq, sha256 FROM release WHERE NOT acked ORDER BY 1"))
        self.closed: dict[int, int] = dict(db.execute("SELECT tab, max(slot) FROM release GROUP BY tab"))

    def charges(self) -> list[Charge]:
        """Return every charge ever made, drawn or not."""
        return charges(self._db)

    def intend(self, charge: Charge) -> None:
        """Make an intent and its charge durable; the draw comes after."""
        row = *charge[:3], *map(str, charge.rho.as_integer_ratio())
        self._db.execute("INSERT INTO intent VALUES (?, ?, ?, ?, ?)", row)

    def put(self, table: int, slot: int, frame: bytes) -> None:
        """Make the frame of the next sequence number durable; it waits, never dropped, and its slot is closed."""
        seq, sha256 = self.next_seq, release.sha256_of(frame)
        self._db.execute("INSERT INTO release VALUES (?, ?, ?, ?, ?, 0)", (seq, table, slot, sha256, frame))
        self.waiting[seq], self.next_seq = sha256, seq + 1
        self.close_upto(table, slot)

    def close_upto(self, table: int, slot: int) -> None:
        """Close the slots up to one, here or in the store: a spool restored from a copy draws none again."""
        self.closed[table] = max(slot, self.closed.get(table, -1))

    def orphans(self) -> list[tuple[int, int]]:
        """Return (table, slot) of every intent without a release: drawn perhaps, and never again."""
        both = "SELECT tab, slot FROM intent EXCEPT SELECT tab, slot FROM release ORDER BY tab, slot"
        return self._db.execute(both).fetchall()

    def stated(self, table: int) -> release.Statement | None:
        """Return what the last release of a table that is whole stated."""
        frames = self._db.execute("SELECT frame FROM release WHERE tab = ? ORDER BY slot DESC", (table,))
        found = (release.decode(frame).statement for (frame,) in frames if release.intact(frame))
        return next(filter(None, found), None)

    def frame(self, seq: int) -> bytes | None:
        """Return the bytes of a release; None when they no longer are those that were sealed."""
        sha256, frame = self._db.execute("SELECT sha256, frame FROM release WHERE seq = ?", (seq,)).fetchone()
        return frame if release.intact(frame) and sha256 == release.sha256_of(frame) else None

    def acknowledge(self, seq: int, sha256: bytes) -> bool:
        """Return whether this settles a release.  Twice is fine, another hash settles nothing."""
        if settles := self.waiting.get(seq) == sha256:
            self._db.execute("UPDATE release SET acked = 1 WHERE seq = ?", (seq,))
            del self.waiting[seq]
        return settles


def charges(db: sqlite3.Connection) -> list[Charge]:
    """Return every charge in a spool, in order."""
    rows = db.execute("SELECT * FROM intent ORDER BY tab, slot")
    return [Charge(tab, slot, day, Fraction(int(n), int(d))) for tab, slot, day, n, d in rows]


class Delivery:
    """Says HELLO until it is welcome, then sends what waits in the spool until it is acknowledged."""

    def __init__(self, spool: Spool, probe: int, last_slot: int = SLOT_MAX):
        self._spool, self._probe, self._last_slot = spool, probe, last_slot
        self.welcome, self._asked_s, self.watermark_ms, self.tally = False, -RETRY_S, 0, tally.Tally()
        self._sent_s: dict[int, float] = {}  # by sequence number, of the window
        self._beat: envelope.Beat | None = None  # the last one said

    @property
    def settled(self) -> bool:
        """Return whether everything sealed is acknowledged, and the store was told how far time has come."""
        return self.welcome and not self._spool.waiting and self._beat == self._beat_now()

    def outgoing(self, now_s: float) -> list[bytes]:
        """Return the frames to send now.  A beat goes before the releases that it makes due."""
        if not self.welcome:
            if now_s - self._asked_s < RETRY_S:
                return []
            self._asked_s = now_s
            stands = self._spool.inc, self._spool.next_seq, next(iter(self._spool.waiting), self._spool.next_seq)
            return [envelope.encode(envelope.Hello([release.PROTO], [release.SCHEMA], self._probe, *stands, BUILD))]
        ready, beat = self.due(now_s), self._beat_now()
        frames = [envelope.encode(beat)] if ready or beat != self._beat else []
        self._beat = beat
        for seq in ready:
            if frame := self._spool.frame(seq):
                frames.append(envelope.encode(envelope.Rel(frame)))
            else:  # not what was sealed: never sent, and due at the store for ever
                del self._spool.waiting[seq]
                self.tally.count("damaged")
        return frames

    def due(self, now_s: float) -> list[int]:
        """Return what to send now: of the oldest that fit the window, the new and those unanswered for RETRY_S."""
        window = {seq: self._sent_s.get(seq, -RETRY_S) for seq in islice(self._spool.waiting, WINDOW)}
        ready = [seq for seq, sent_s in window.items() if now_s - sent_s >= RETRY_S]
        self._sent_s = window | dict.fromkeys(ready, now_s)
        return ready

    def incoming(self, frame: bytes) -> None:
        """Take one answer; raise RunError when a person has to look."""
        try:
            answer = envelope.decode(frame)
        except packing.WireError:
            return self.tally.count("bad_answers")
        if isinstance(answer, envelope.Welcome):
            self.welcome, self._beat = True, None
            for table, slot in zip(answer.last_slots[::2], answer.last_slots[1::2], strict=True):
                ahead = slot - self._spool.closed.get(table, slot)  # what this spool, perhaps a copy, never sealed
                self.tally.count("held_by_store", max(ahead, 0) if slot <= self._last_slot else 0)
                self._spool.close_upto(table, min(slot, self._last_slot))
        elif isinstance(answer, envelope.Ack) and answer.inc == self._spool.inc:
            self.tally.count("acked", self._spool.acknowledge(answer.seq, answer.sha256))
        elif isinstance(answer, envelope.Nack):
            self.tally.count(f"nack_{answer.code}")
            self.welcome &= answer.code != envelope.Code.BUSY
            if answer.code not in envelope.LATER and answer.inc == self._spool.inc:
                raise config.RunError(f"the store refused table {answer.table}, slot {answer.slot} ({answer.code}); "
                               "the spool keeps it, look at both")

    def _beat_now(self) -> envelope.Beat:
        last_seq, closed = self._spool.next_seq - 1, envelope.pairs(self._spool.closed)
        return envelope.Beat(self.watermark_ms, last_seq, closed, len(self._spool.waiting))


@contextmanager
def opened(path: Path | str, inc: bytes) -> Iterator[Spool]:
    """Open the spool at path for one writer; inc names it when it is new.

    The lock is closed after the database: closing any descriptor of a file drops SQLite's own locks on it.
    """
    with open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            db = sqlite3.connect(path, isolation_level=None)
            if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise config.RunError(f"{path}: the spool is damaged; keep the file, and start with a new one")
            try:
                yield Spool(db, inc)
            finally:
                record.close(db)
        except BlockingIOError:
            raise config.RunError(f"{path}: the spool is in use by another process") from None
        except sqlite3.Error as error:
            raise config.RunError(f"{path}: {error}; what was sealed stays in it") from error
