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
from functools import partial
from pathlib import Path

from collector.edge.ledger import Charge
from probe.base import record
from probe.base.main import RunError
from probe.wire import release

APPLICATION_ID = 0x46465350  # "FFSP"
SCHEMA = """
CREATE TABLE spool(inc BLOB NOT NULL);
CREATE TABLE intent(tab INTEGER, slot INTEGER, day INTEGER, rho_numerator TEXT, rho_denominator TEXT,
                    PRIMARY KEY(tab, slot)) WITHOUT ROWID;
CREATE TABLE release(seq INTEGER PRIMARY KEY, tab INTEGER, slot INTEGER, sha256 BLOB, frame BLOB, acked INTEGER,
                     UNIQUE(tab, slot))
"""


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
        waiting = "SELECT seq, sha256 FROM release WHERE NOT acked ORDER BY seq"
        self.waiting: dict[int, bytes] = dict(db.execute(waiting).fetchall())
        self.closed: dict[int, int] = dict(db.execute("SELECT tab, max(slot) FROM release GROUP BY tab").fetchall())

    def charges(self) -> list[Charge]:
        """Return every charge ever made, drawn or not."""
        rows = self._db.execute("SELECT tab, slot, day, rho_numerator, rho_denominator FROM intent")
        return [Charge(tab, slot, day, Fraction(int(n), int(d))) for tab, slot, day, n, d in rows]

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

    def frame(self, seq: int) -> bytes | None:
        """Return the bytes of a release; None when they no longer are those that were sealed."""
        sha256, frame = self._db.execute("SELECT sha256, frame FROM release WHERE seq = ?", (seq,)).fetchone()
        return frame if release.intact(frame) and sha256 == release.sha256_of(frame) else None

    def acknowledge(self, seq: int, sha256: bytes) -> bool:
        """Return whether this settles a release.  Twice is fine, another hash settles nothing."""
        if self.waiting.get(seq) != sha256:
            return False
        self._db.execute("UPDATE release SET acked = 1 WHERE seq = ?", (seq,))
        del self.waiting[seq]
        return True


@contextmanager
def opened(path: Path | str, inc: bytes) -> Iterator[Spool]:
    """Open the spool at path for one writer; inc names it when it is new.

    The lock is closed after the database: closing any descriptor of a file drops SQLite's own locks on it.
    """
    with open(path, "ab", opener=partial(os.open, mode=0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            db = sqlite3.connect(path, isolation_level=None)
            if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise RunError(f"{path}: the spool is damaged; keep the file, and start with a new one")
            try:
                yield Spool(db, inc)
            finally:
                record.close(db)
        except BlockingIOError:
            raise RunError(f"{path}: the spool is in use by another process") from None
        except sqlite3.Error as error:
            raise RunError(f"{path}: {error}; what was sealed stays in it") from error
