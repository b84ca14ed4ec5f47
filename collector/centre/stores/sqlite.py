"""The store in one SQLite file: WAL, FULL, one row a release, insert only, kept so by triggers."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.centre.stores import Beaten, Entry, Known, Offered, Refused, Registered, Verdict
from probe.base.config import ConfigError, Settings
from probe.base.main import RunError
from probe.wire import release
from probe.wire.release import Kind

APPLICATION_ID = 0x46465354  # "FFST"
USER_VERSION = 1
HEAD_BYTES = 4096  # of what was refused
QUARANTINE_MAX = 1_000  # rows a probe
SCHEMA = """
CREATE TABLE release(probe INTEGER, tab INTEGER, slot INTEGER, seq INTEGER, inc BLOB, sha256 BLOB,
    kind INTEGER, frame BLOB, PRIMARY KEY(probe, tab, slot), UNIQUE(probe, inc, seq));
CREATE TRIGGER release_stays BEFORE UPDATE ON release
    BEGIN SELECT raise(ABORT, 'releases are never corrected'); END;
CREATE TRIGGER release_kept BEFORE DELETE ON release
    BEGIN SELECT raise(ABORT, 'releases are never deleted'); END;
CREATE TABLE quarantine(id INTEGER PRIMARY KEY, probe INTEGER, why TEXT, sha256 BLOB, head BLOB);
CREATE TABLE beat(probe INTEGER PRIMARY KEY, inc BLOB, watermark_ms INTEGER, last_seq INTEGER,
    spool_depth INTEGER);
CREATE TABLE registry(probe INTEGER, tab INTEGER, name TEXT, slot_s INTEGER, first_slot INTEGER,
    until_slot INTEGER, lateness_s INTEGER, zone TEXT, axes BLOB, PRIMARY KEY(probe, tab));
CREATE TABLE area(axes BLOB, row INTEGER, area_id TEXT, name TEXT, PRIMARY KEY(axes, row));
"""


class SqliteStore(Settings):
    """A store in a file of this machine."""

    path: str

    def build(self) -> "Sqlite":
        """Return the store for its one writer; a new file is set up."""
        try:
            db = sqlite3.connect(self.path, isolation_level=None)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                db.executescript(
                    f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; "
                    f"PRAGMA user_version = {USER_VERSION}; COMMIT;"
                )
            return Sqlite(self.path, db)
        except sqlite3.Error as error:
            raise RunError(f"{self.path}: {error}") from error

    def reader(self) -> "Sqlite":
        """Return the store to be read only, while a writer may be at work."""
        try:
            return Sqlite(
                self.path, sqlite3.connect(f"{Path(self.path).absolute().as_uri()}?mode=ro", uri=True)
            )
        except sqlite3.Error as error:
            raise ConfigError(self.path, [f"no store that can be read: {error}"]) from None


class Sqlite:
    """One connection to the file."""

    def __init__(self, path: str, db: sqlite3.Connection):
        self._path, self._db = path, db
        found = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if found != [APPLICATION_ID, USER_VERSION]:
            raise ConfigError(path, ["not a store of this version of footfall"])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise RunError(f"{self._path}: {error}; what was stored stays") from error
            raise

    def register(self, rows: Iterable[Registered]) -> None:
        """Say what is expected; what is registered already stays."""
        with self._transaction():
            for one in rows:
                fixed = (one.probe, one.table, one.name, one.slot_s, one.first_slot, one.until_slot)
                row = (*fixed, one.lateness_s, one.zone, one.axes)
                self._db.execute("INSERT OR IGNORE INTO registry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
                named = [(one.axes, row, *names) for row, names in enumerate(one.areas)]
                self._db.executemany("INSERT OR IGNORE INTO area VALUES (?, ?, ?, ?)", named)

    def registered(self) -> list[Registered]:
        """Return what is expected, by probe and table."""
        found = []
        for row in self._db.execute("SELECT * FROM registry ORDER BY probe, tab").fetchall():
            query = "SELECT area_id, name FROM area WHERE axes = ? ORDER BY row"
            areas = self._db.execute(query, row[-1:]).fetchall()
            found.append(Registered(*(*row, tuple(areas))))
        return found

    def known(self, probe: int) -> Known:
        """Return what was ever stored of a probe."""
        inc, watermark_ms = self._db.execute(
            "SELECT inc, watermark_ms FROM beat WHERE probe = ?", (probe,)
        ).fetchone() or (b"", 0)
        last = self._db.execute("SELECT tab, max(slot) FROM release WHERE probe = ? GROUP BY tab", (probe,))
        frozen = self._db.execute(
            "SELECT 1 FROM quarantine WHERE probe = ? AND why = 'conflict' LIMIT 1", (probe,)
        ).fetchone()
        return Known(inc, watermark_ms, dict(last.fetchall()), frozen is not None)

    def write(self, entries: list[Entry]) -> list[Verdict]:
        """Return what became of each entry; all are durable together."""
        with self._transaction():
            return [self._write(entry) for entry in entries]

    def _write(self, entry: Entry) -> Verdict:
        if isinstance(entry, Offered):
            return self._insert(entry)
        if isinstance(entry, Refused):
            self._quarantine(entry.probe, entry.why, entry.frame)
        elif isinstance(entry, Beaten):
            beat = entry.beat
            self._db.execute(
                "INSERT INTO beat VALUES (?, ?, ?, ?, ?) ON CONFLICT(probe) DO UPDATE SET "
                "watermark_ms = max(watermark_ms, excluded.watermark_ms), "
                "last_seq = max(last_seq, excluded.last_seq), spool_depth = excluded.spool_depth",
                (entry.probe, entry.inc, beat.watermark_ms, beat.last_seq, beat.spool_depth),
            )
        return Verdict.NOTED

    def _insert(self, entry: Offered) -> Verdict:
        one, sha256 = entry.release, release.sha256_of(entry.frame)
        found = self._db.execute(
            "SELECT sha256 FROM release WHERE probe = ? AND tab = ? AND slot = ? "
            "UNION SELECT sha256 FROM release WHERE probe = ? AND inc = ? AND seq = ?",
            (*one.key, one.probe, one.inc, one.seq),
        ).fetchall()
        if not found:
            row = (*one.key, one.seq, one.inc, sha256, one.kind, entry.frame)
            self._db.execute("INSERT INTO release VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            return Verdict.STORED
        if found == [(sha256,)]:
            return Verdict.DUPLICATE
        if one.kind == Kind.VOID:  # the value had arrived before its copy at the edge was damaged
            self._quarantine(one.probe, "void", entry.frame)
            return Verdict.DUPLICATE
        self._quarantine(one.probe, "conflict", entry.frame)
        return Verdict.CONFLICT

    def _quarantine(self, probe: int, why: str, frame: bytes) -> None:
        (count,) = self._db.execute("SELECT count(*) FROM quarantine WHERE probe = ?", (probe,)).fetchone()
        if count < QUARANTINE_MAX or why == "conflict":
            row = (probe, why, release.sha256_of(frame), frame[:HEAD_BYTES])
            self._db.execute("INSERT INTO quarantine(probe, why, sha256, head) VALUES (?, ?, ?, ?)", row)

    def watermark_ms(self) -> int:
        """Return the event time that every probe has passed."""
        return self._db.execute("SELECT coalesce(min(watermark_ms), 0) FROM beat").fetchone()[0]

    def frames(self, table: int, first_slot: int, until_slot: int) -> Iterator[bytes]:
        """Yield the stored frames of a table's slots, by slot and probe."""
        rows = self._db.execute(
            "SELECT frame FROM release WHERE tab = ? AND slot >= ? AND slot < ? ORDER BY slot, probe",
            (table, first_slot, until_slot),
        )
        return (frame for (frame,) in rows)

    def quarantined(self) -> int:
        """Return how many entries were refused or in conflict."""
        return self._db.execute("SELECT count(*) FROM quarantine").fetchone()[0]

    def close(self) -> None:
        """Leave one plain file behind (a reader leaves it as it was)."""
        with_writer = (
            not self._db.execute("PRAGMA query_only").fetchone()[0] and self._db.isolation_level is None
        )
        if with_writer:
            self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()
