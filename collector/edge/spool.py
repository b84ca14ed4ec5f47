"""Releases waiting at the edge: SQLite, durable before anything leaves, checked before it does.

A slot is sealed in two transactions: {intent with its charge}, draw, {release, sequence
number}.  An intent without a release after a crash is a lost slot, never drawn again.
What is acknowledged stays, so that a store that lost its disk can be filled again.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path

from collector.edge.ledger import Charge
from probe.base import record
from probe.base.main import RunError
from probe.wire import release

APPLICATION_ID = 0x46465350  # "FFSP"
RETRY_S = 2.0
SCHEMA = (
    "CREATE TABLE spool(inc BLOB NOT NULL)",
    "CREATE TABLE intent(tab INTEGER, slot INTEGER, day INTEGER, rho_numerator TEXT, rho_denominator TEXT, "
    "PRIMARY KEY(tab, slot)) WITHOUT ROWID",
    "CREATE TABLE release(seq INTEGER PRIMARY KEY, tab INTEGER, slot INTEGER, sha256 BLOB, frame BLOB, "
    "acked INTEGER, UNIQUE(tab, slot))",
)


class Spool:
    """One writer's spool over one SQLite connection in autocommit mode."""

    def __init__(self, connection: sqlite3.Connection, inc: bytes):
        self._db = connection
        record.prepare(connection, APPLICATION_ID, SCHEMA)
        self._db.execute("INSERT INTO spool SELECT ? WHERE NOT EXISTS (SELECT * FROM spool)", (inc,))
        self.inc = bytes(self._db.execute("SELECT inc FROM spool").fetchone()[0])
        (last,) = self._db.execute("SELECT max(seq) FROM release").fetchone()
        self.next_seq = 0 if last is None else last + 1

    def charges(self) -> list[Charge]:
        """Return every charge ever made, drawn or not."""
        rows = self._db.execute("SELECT tab, slot, day, rho_numerator, rho_denominator FROM intent")
        return [Charge(tab, slot, day, Fraction(int(n), int(d))) for tab, slot, day, n, d in rows]

    def intend(self, charge: Charge) -> None:
        """Make an intent and its charge durable; the draw comes after."""
        with record.transaction(self._db):
            numbers = str(charge.rho.numerator), str(charge.rho.denominator)
            row = (charge.table, charge.slot, charge.day, *numbers)
            self._db.execute("INSERT INTO intent VALUES (?, ?, ?, ?, ?)", row)

    def put(self, seq: int, table: int, slot: int, frame: bytes) -> None:
        """Make the frame of the next sequence number durable."""
        assert seq == self.next_seq, "sequence numbers have no gap"
        row = (seq, table, slot, release.sha256_of(frame), frame)
        with record.transaction(self._db):
            self._db.execute("INSERT INTO release VALUES (?, ?, ?, ?, ?, 0)", row)
        self.next_seq += 1

    def orphans(self) -> list[tuple[int, int]]:
        """Return (table, slot) of every intent without a release: drawn perhaps, and never again."""
        return self._db.execute(
            "SELECT tab, slot FROM intent WHERE NOT EXISTS (SELECT 1 FROM release r "
            "WHERE r.tab = intent.tab AND r.slot = intent.slot) ORDER BY tab, slot"
        ).fetchall()

    def last_slots(self) -> dict[int, int]:
        """Return {table: last slot that is closed}."""
        return dict(self._db.execute("SELECT tab, max(slot) FROM release GROUP BY tab"))

    def waiting(self) -> list[tuple[int, bytes]]:
        """Return (number, hash) of what is not acknowledged, oldest first."""
        return self._db.execute("SELECT seq, sha256 FROM release WHERE NOT acked ORDER BY seq").fetchall()

    def frame(self, seq: int) -> bytes | None:
        """Return the bytes of a release; None when they no longer are those that were sealed."""
        sha256, frame = self._db.execute("SELECT sha256, frame FROM release WHERE seq = ?", (seq,)).fetchone()
        return frame if release.intact(frame) and sha256 == release.sha256_of(frame) else None

    def acknowledged(self, seq: int) -> None:
        """Note that the store has a release."""
        with record.transaction(self._db):
            self._db.execute("UPDATE release SET acked = 1 WHERE seq = ?", (seq,))


@contextmanager
def opened(path: Path, inc: bytes) -> Iterator[Spool]:
    """Open the spool at path for one writer; inc names it when it is new.

    The lock is closed after the database: closing any descriptor of a file drops SQLite's own locks on it.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        connection = sqlite3.connect(path, isolation_level=None)
        if connection.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise RunError(f"{path}: the spool is damaged; keep the file, and start with a new one")
        try:
            yield Spool(connection, inc)
        finally:
            record.close(connection)
    except BlockingIOError:
        raise RunError(f"{path}: the spool is in use by another process") from None
    except sqlite3.Error as error:
        raise RunError(f"{path}: {error}; what was sealed stays in it") from error
    finally:
        os.close(lock)


class SendWindow:
    """Which sealed releases to send now.  The spool keeps the bytes; this knows their numbers and hashes."""

    def __init__(self, window: int):
        self._window = window
        self._waiting: dict[int, bytes] = {}  # sequence number: sha256, oldest first
        self._sent_s: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def oldest(self, otherwise: int) -> int:
        """Return the lowest number that waits."""
        return next(iter(self._waiting), otherwise)

    def add(self, seq: int, sha256: bytes) -> None:
        """Take a release that is durable in the spool.  Never full: a sealed slot is never dropped."""
        assert seq not in self._waiting, "a sequence number is given once"
        self._waiting[seq] = sha256

    def due(self, now_s: float) -> list[int]:
        """Return what to send now: of the oldest that fit, the new and those unanswered for RETRY_S."""
        oldest = islice(self._waiting, self._window)
        ready = [seq for seq in oldest if now_s - self._sent_s.get(seq, -RETRY_S) >= RETRY_S]
        self._sent_s.update(dict.fromkeys(ready, now_s))
        return ready

    def drop(self, seq: int) -> None:
        """Forget a release whose bytes are damaged."""
        self._waiting.pop(seq, None)
        self._sent_s.pop(seq, None)

    def acknowledge(self, seq: int, sha256: bytes) -> bool:
        """Return whether this settles a release.  Twice is fine, another hash settles nothing."""
        settles = self._waiting.get(seq) == sha256
        if settles:
            self.drop(seq)
        return settles
