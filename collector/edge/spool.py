"""Releases waiting at the edge: SQLite, durable before anything leaves, checked before it does.

A slot is sealed in two transactions: {intent with its charge}, draw, {release, sequence
number}.  An intent without a release after a crash is a lost slot, never drawn again.
What is acknowledged stays, so that a store that lost its disk can be filled again.
"""

import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from fractions import Fraction
from itertools import islice
from pathlib import Path

from collector.edge.ledger import Charge
from probe.base.main import RunError
from probe.wire import release
from probe.wire.release import Kind

APPLICATION_ID = 0x46465350  # "FFSP"
USER_VERSION = 1
RETRY_S = 2.0
SCHEMA = """
CREATE TABLE spool(inc BLOB NOT NULL);
CREATE TABLE intent(tab INTEGER, slot INTEGER, day INTEGER, rho_numerator TEXT, rho_denominator TEXT,
    PRIMARY KEY(tab, slot)) WITHOUT ROWID;
CREATE TABLE release(seq INTEGER PRIMARY KEY, tab INTEGER, slot INTEGER, kind INTEGER, sha256 BLOB,
    frame BLOB, state INTEGER);
CREATE UNIQUE INDEX one_value ON release(tab, slot) WHERE kind <> 3;
"""


class State(IntEnum):
    """Of a release in the spool."""

    SEALED = 0
    ACKED = 1
    DAMAGED = 2


class DamagedRow(Exception):
    """A row of the spool no longer holds the bytes that were sealed."""


class Spool:
    """One writer's spool over one SQLite connection in autocommit mode."""

    def __init__(self, connection: sqlite3.Connection, inc: bytes):
        self._db = connection
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            self._db.execute(f"PRAGMA {pragma}")
        self._found(inc)
        self.inc = bytes(self._db.execute("SELECT inc FROM spool").fetchone()[0])
        (last,) = self._db.execute("SELECT max(seq) FROM release").fetchone()
        self.next_seq = 0 if last is None else last + 1

    def _found(self, inc: bytes) -> None:
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            with self._transaction():
                for statement in filter(str.strip, SCHEMA.split(";")):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO spool VALUES (?)", (inc,))
                self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._db.execute(f"PRAGMA user_version = {USER_VERSION}")
        elif (application, version) != (APPLICATION_ID, USER_VERSION):
            raise RunError(f"the spool is of another program or version ({version}, expected {USER_VERSION})")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def charges(self) -> list[Charge]:
        """Return every charge ever made, drawn or not."""
        rows = self._db.execute("SELECT tab, slot, day, rho_numerator, rho_denominator FROM intent")
        return [Charge(tab, slot, day, Fraction(int(n), int(d))) for tab, slot, day, n, d in rows]

    def intend(self, charge: Charge) -> None:
        """Make an intent and its charge durable; the draw comes after."""
        with self._transaction():
            numbers = str(charge.rho.numerator), str(charge.rho.denominator)
            row = (charge.table, charge.slot, charge.day, *numbers)
            self._db.execute("INSERT INTO intent VALUES (?, ?, ?, ?, ?)", row)

    def put(self, table: int, slot: int, kind: Kind, frame_of: Callable[[int], bytes]) -> tuple[int, bytes]:
        """Make the frame of the next sequence number durable; return (number, frame)."""
        frame = frame_of(self.next_seq)
        row = (self.next_seq, table, slot, kind, release.sha256_of(frame), frame, State.SEALED)
        with self._transaction():
            self._db.execute("INSERT INTO release VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self.next_seq += 1
        return row[0], frame

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
        query = "SELECT seq, sha256 FROM release WHERE state = ? ORDER BY seq"
        return self._db.execute(query, (State.SEALED,)).fetchall()

    def frame(self, seq: int) -> bytes:
        """Return the bytes of a release; DamagedRow when they are not those that were sealed."""
        sha256, frame = self._db.execute("SELECT sha256, frame FROM release WHERE seq = ?", (seq,)).fetchone()
        content = frame[: release.FIXED.size] + frame[release.HEADER_BYTES :]
        if not hashlib.sha256(content).digest() == sha256 == release.sha256_of(frame):
            raise DamagedRow(seq)
        return frame

    def key_of(self, seq: int) -> tuple[int, int]:
        """Return (table, slot) of a release."""
        return self._db.execute("SELECT tab, slot FROM release WHERE seq = ?", (seq,)).fetchone()

    def mark(self, seq: int, state: State) -> None:
        """Say what became of a release."""
        with self._transaction():
            self._db.execute("UPDATE release SET state = ? WHERE seq = ?", (state, seq))

    def close(self) -> None:
        """Leave one plain file behind."""
        self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()


@contextmanager
def opened(path: Path, inc: bytes) -> Iterator[Spool]:
    """Open the spool at path for one writer; inc names it when it is new."""
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, isolation_level=None)
        if connection.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise RunError(f"{path}: the spool is damaged; keep the file, and start with a new one")
        spool = Spool(connection, inc)
        try:
            yield spool
        finally:
            spool.close()
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

    @property
    def oldest(self) -> int | None:
        """Return the lowest number that waits."""
        return next(iter(self._waiting), None)

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
        if self._waiting.get(seq) != sha256:
            return False
        del self._waiting[seq]
        self._sent_s.pop(seq, None)
        return True
