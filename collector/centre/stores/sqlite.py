"""The store in one SQLite file: WAL, FULL, one row a release, insert only, kept so by triggers."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from collector.centre.stores import Beaten, Entry, Known, Refused, Registered, Verdict, readable
from probe.base import record
from probe.base.config import ConfigError, RunError, Settings
from probe.wire import release

APPLICATION_ID = 0x46465354  # "FFST"
HEAD_BYTES, QUARANTINE_MAX = 4096, 1_000  # of what was refused; rows a probe, conflicts always
SCHEMA = """
CREATE TABLE release(probe INTEGER, tab INTEGER, slot INTEGER, seq INTEGER, inc BLOB, sha256 BLOB, kind INTEGER,
                     frame BLOB, PRIMARY KEY(probe, tab, slot), UNIQUE(probe, inc, seq));
CREATE TRIGGER no_update BEFORE UPDATE ON release BEGIN SELECT raise(ABORT, 'releases are never corrected'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON release BEGIN SELECT raise(ABORT, 'releases are never corrected'); END;
CREATE TABLE quarantine(id INTEGER PRIMARY KEY, probe INTEGER, why TEXT, sha256 BLOB, head BLOB);
CREATE TABLE beat(probe INTEGER PRIMARY KEY, inc BLOB, watermark_ms INTEGER, last_seq INTEGER, spool_depth INTEGER);
CREATE TABLE registry(probe INTEGER, tab INTEGER, content TEXT, PRIMARY KEY(probe, tab))
"""
NAMED = """SELECT DISTINCT sha256 FROM release
WHERE (probe = ?1 AND tab = ?2 AND slot = ?3) OR (probe = ?1 AND inc = ?5 AND seq = ?4)"""
STATED = "SELECT frame FROM release WHERE probe = ? AND tab = ? ORDER BY slot DESC"
SET_APART = f"""INSERT INTO quarantine(probe, why, sha256, head) SELECT ?1, ?2, ?3, ?4
WHERE ?2 = '{Verdict.CONFLICT}' OR (SELECT count(*) FROM quarantine WHERE probe = ?1) < {QUARANTINE_MAX}"""
NOTE = """INSERT INTO beat VALUES (:probe, :inc, :watermark_ms, :last_seq, :spool_depth) ON CONFLICT(probe) DO UPDATE
SET spool_depth = :spool_depth, watermark_ms = max(watermark_ms, :watermark_ms), last_seq = max(last_seq, :last_seq)"""


class SqliteStore(Settings):
    """A store in a file of this machine."""

    path: str

    def build(self) -> "Sqlite":
        """Return the store for its one writer; a new file is set up."""
        try:
            db = sqlite3.connect(self.path, isolation_level=None)
            record.prepare(db, APPLICATION_ID, SCHEMA)
        except sqlite3.Error as error:
            raise RunError(f"{self.path}: {error}") from error
        return Sqlite(db)

    def reader(self) -> "Sqlite":
        """Return the store to be read only, while a writer may be at work; ConfigError when it is none."""
        try:
            db = sqlite3.connect(f"{Path(self.path).absolute().as_uri()}?mode=ro", uri=True)
            db.execute("PRAGMA query_only = 1")
            if record.marked(db) == (APPLICATION_ID, record.USER_VERSION):
                return Sqlite(db)
            why = "it is not of this version of footfall"
        except sqlite3.Error as error:
            why = str(error)
        raise ConfigError(self.path, [f"no store that can be read: {why}; name a run directory or its store.db"])


class Sqlite:
    """One connection to the file, in autocommit mode."""

    def __init__(self, db: sqlite3.Connection):
        self._db = db

    def register(self, expected: list[Registered]) -> None:
        """Say what is expected; what is registered already stays."""
        rows = [(one.probe, one.table, json.dumps(one._asdict(), default=bytes.hex)) for one in expected]
        self._db.executemany("INSERT OR IGNORE INTO registry VALUES (?, ?, ?)", rows)

    def registered(self) -> list[Registered]:
        """Return what is expected, by probe and table."""
        found = [json.loads(row[0]) for row in self._db.execute("SELECT content FROM registry ORDER BY probe, tab")]
        return [Registered(**{**one, "axes_digest": bytes.fromhex(one["axes_digest"])}) for one in found]

    def known(self, probe: int) -> Known:
        """Return what was ever stored of a probe."""
        ask = self._db.execute
        beat = ask("SELECT inc, watermark_ms FROM beat WHERE probe = ?", (probe,)).fetchone() or (b"", 0)
        last = dict(ask("SELECT tab, max(slot) FROM release WHERE probe = ? GROUP BY tab", (probe,)))
        conflict = ask("SELECT * FROM quarantine WHERE probe = ? AND why = ?", (probe, Verdict.CONFLICT)).fetchone()
        epochs = {}
        for table in last:
            frames = (frame for (frame,) in ask(STATED, (probe, table)))
            if one := next((one for one in readable(frames) if one.statement), None):
                epochs[table] = one.slot, one.statement.consent_epoch
        return Known(beat[0], beat[1], last, epochs, conflict is not None)

    def write(self, entries: list[Entry]) -> list[Verdict]:
        """Return what became of each entry; all are durable together."""
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                return [self._write(entry) for entry in entries]
        except sqlite3.OperationalError as error:
            raise RunError(f"the store cannot be written: {error}; what was stored stays") from error

    def _write(self, entry: Entry) -> Verdict:
        if isinstance(entry, Refused):
            return self._quarantine(*entry)
        if isinstance(entry, Beaten):
            self._db.execute(NOTE, {"probe": entry.probe, "inc": entry.inc, **entry.beat._asdict()})
            return Verdict.NOTED
        one, sha256 = entry.release, release.sha256_of(entry.frame)
        names = one.probe, one.table, one.slot, one.seq, one.inc
        found = self._db.execute(NAMED, names).fetchall()
        if found == [(sha256,)]:
            return Verdict.DUPLICATE
        if found:
            return self._quarantine(one.probe, Verdict.CONFLICT, entry.frame)
        self._db.execute("INSERT INTO release VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*names, sha256, one.kind, entry.frame))
        return Verdict.STORED

    def _quarantine(self, probe: int, why: str, frame: bytes) -> Verdict:
        self._db.execute(SET_APART, (probe, why, release.sha256_of(frame), frame[:HEAD_BYTES]))
        return Verdict.CONFLICT if why == Verdict.CONFLICT else Verdict.QUARANTINED

    def frames(self, table: int) -> Iterator[bytes]:
        """Yield the stored frames of a table, by slot and probe."""
        for row in self._db.execute("SELECT frame FROM release WHERE tab = ? ORDER BY slot, probe", (table,)):
            yield from row

    def close(self) -> None:
        """Leave one plain file behind; a reader leaves it as it was."""
        record.close(self._db)
