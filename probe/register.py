"""The register of an edge: who its subscribers are, what each of them said and when, who may be counted from when on.

A folder that only its owner can read, outside of every run: `subscribers` (the operator's file: the answers at the
start), `key` (32 bytes), `consent.db` (a log that only grows; it holds fingerprints, no number).  Edge only.
"""

import secrets
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from probe.base import clock, record
from probe.base.config import ConfigError, RunError
from probe.base.packing import WireError, require
from probe.base.streams import mix64
from probe.identity import fingerprints
from probe.wire import epochs, subscribers
from probe.wire.consent import BASES, CHANGE, NO, PURPOSES, YES, countable
from probe.wire.subscribers import MINOR, SUBSCRIBER

APPLICATION_ID, KEY_BYTES, SLOT_MS, TEXT_MAX = 0x4646434E, 32, 900_000, 64  # "FFCN"
ANSWERS = {"give": True, "withdraw": False, "refuse": False}  # a yes, a yes taken back, an objection
FILES = ("subscribers", "key", "consent.db")
LATEST_MS, NEVER_MS = 7_258_118_400_000, np.iinfo("i8").max  # the year 2200: later is a slip of the pen
# For the judge: a subscriber whose answer changes is counted from .. until; from_ms >= until_ms: never.
WINDOW = np.dtype([("subscriber", "<u8"), ("person", "<u8"), ("from_ms", "<i8"), ("until_ms", "<i8")])
TURN = np.dtype([("time_ms", "<i8"), ("counts", "?"), ("row", SUBSCRIBER)])
SCHEMA = """
CREATE TABLE meta(begin_ms INTEGER, zone TEXT NOT NULL);
CREATE TABLE said(id INTEGER PRIMARY KEY, recorded_ms INTEGER NOT NULL, effective_ms INTEGER NOT NULL,
                  fingerprint INTEGER NOT NULL, purpose TEXT NOT NULL, answer TEXT NOT NULL,
                  text_version TEXT NOT NULL, channel TEXT NOT NULL, proof TEXT NOT NULL UNIQUE,
                  dated INTEGER NOT NULL);
CREATE INDEX of_one ON said(fingerprint);
CREATE VIEW holds AS SELECT * FROM said AS one WHERE NOT EXISTS (
    SELECT 1 FROM said WHERE fingerprint = one.fingerprint AND purpose = one.purpose
    AND id > one.id AND NOT dated AND effective_ms <= one.effective_ms);
CREATE TRIGGER no_update BEFORE UPDATE ON said BEGIN SELECT raise(ABORT, 'what was said is never changed'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON said BEGIN SELECT raise(ABORT, 'what was said is never changed'); END
"""
COLUMNS = "purpose, answer, effective_ms, text_version, channel, proof, recorded_ms"


class Said(NamedTuple):
    """What one subscriber said of one purpose.  What is None or empty is filled in when it is recorded.

    Without a time it is their last word: it takes effect at once, and what they said before for a later time is void.
    """

    number: int
    purpose: str
    answer: str
    effective_ms: int | None = None
    text_version: str = "unstated"
    channel: str = "command"
    proof: str = ""
    recorded_ms: int | None = None

    @property
    def yes_or_no(self) -> str:
        """Return what the answer comes to."""
        return "yes" if ANSWERS.get(self.answer) else "no"


class Register:
    """One folder, read once; the log is opened for each call, so that several may use it.

    begin_ms : where a simulation begins, and what is said without a time takes effect; None: live, at once
    """

    def __init__(self, folder: Path | str, now_ms: Callable[[], int] = clock.WallClock.utc_ms):
        self.folder, self._now_ms = Path(folder), now_ms
        if problems := broken(self.folder):
            raise ConfigError("the subscriber folder", problems)
        try:
            self.rows = subscribers.decode((self.folder / "subscribers").read_bytes()).rows
            self.key = (self.folder / "key").read_bytes()
            require(len(self.key) == KEY_BYTES, f"key: is not {KEY_BYTES} bytes")
        except (OSError, WireError) as error:  # what is wrong with it, never what is in it
            words = error.strerror if isinstance(error, OSError) else error
            raise ConfigError("the subscriber folder", [f"{self.folder}: cannot be read: {words}"]) from None
        with self._log() as db:
            self.begin_ms, self.zone = db.execute("SELECT begin_ms, zone FROM meta").fetchone()

    @classmethod
    def create(cls, folder: Path | str, rows: np.ndarray, zone: str, begin_ms: int | None = None) -> "Register":
        """Return the register of a folder: made where there is none; one that is there must be of these SUBSCRIBER[n].

        Raises ConfigError where others can read it, it holds anything else, or lies within a run.
        """
        folder = Path(folder)
        try:
            new = not folder.exists() or not any(folder.iterdir())
            if problems := broken(folder, new):
                raise ConfigError("the subscriber folder", problems)
            if new:
                folder.absolute().parent.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=folder.absolute().parent, ignore_cleanup_errors=True) as made:
                    fill(Path(made), rows, zone, begin_ms)
                    Path(made).rename(folder)  # all of it is there, or nothing
        except OSError as error:
            words = f"{folder}: {error.strerror}; name a folder that can be written"
            raise ConfigError("the subscriber folder", [words]) from None
        found = cls(folder)
        if (found.begin_ms, found.zone) != (begin_ms, zone) or found.rows.tobytes() != rows.tobytes():
            words = "holds the subscribers of another world; name a new folder, or run the scenario it was made by"
            raise ConfigError("the subscriber folder", [f"{folder} {words}"])
        return found

    @contextmanager
    def _log(self) -> Iterator[sqlite3.Connection]:
        """Yield the log; each statement is durable when it returns."""
        path = self.folder / FILES[-1]
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                if record.marked(db) != (APPLICATION_ID, record.USER_VERSION):
                    raise ConfigError("the subscriber folder", [f"{path} is of another program or version"])
                record.prepare(db, APPLICATION_ID, SCHEMA)
                yield db
        except sqlite3.OperationalError as error:
            raise RunError(f"{path}: {error}") from None
        except sqlite3.DatabaseError as error:
            raise ConfigError("the subscriber folder", [f"{path} is damaged: {error}"]) from None

    def known(self, number: int) -> int:
        """Return the row of a subscriber, or -1."""
        at = int(np.searchsorted(self.rows["subscriber"], np.uint64(number)))
        return at if at < len(self.rows) and self.rows["subscriber"][at] == number else -1

    def minor(self, number: int) -> bool:
        """Return whether a subscriber is one: never counted, whatever is said."""
        return bool(self.rows["age"][self.known(number)] == MINOR)

    def moment(self, text: str | None) -> int | None:
        """Return UTC milliseconds of an ISO time, local where it states no offset; None for none, -1 for no time."""
        try:
            found = datetime.fromisoformat(text) if text else None
            return found if found is None else int(found.replace(
                tzinfo=found.tzinfo or clock.zone(self.zone)).timestamp() * clock.SECOND_MS)
        except (ValueError, OverflowError):
            return -1

    def slot(self, time_ms: int) -> tuple[datetime, datetime, int]:
        """Return the local begin and end, and the number, of the slot that a time lies in."""
        index = time_ms // SLOT_MS
        return clock.local(index * SLOT_MS, self.zone), clock.local((index + 1) * SLOT_MS, self.zone), index

    def _names(self, numbers: list[int]) -> list[int]:
        """Return the fingerprints of numbers, as SQLite keeps them."""
        return fingerprints(np.array(numbers, "u8"), self.key).view("i8").tolist()

    def said(self, number: int, of: str = "said") -> list[Said]:
        """Return everything that is recorded of a subscriber, in order of effect; of "holds": what is not void."""
        with self._log() as db:
            rows = db.execute(f"SELECT {COLUMNS} FROM {of} WHERE fingerprint = ? ORDER BY effective_ms, id",
                              self._names([number])).fetchall()
        return [Said(number, *row) for row in rows]

    def problems(self, said: list[Said]) -> list[tuple[int, str]]:
        """Return (index, words) of everything for which these cannot be recorded; no word holds a number."""
        found, answers, proofs = [], dict[tuple, str](), list[str]()
        with self._log() as db:
            proofs += [one.proof for one in said if one.proof and db.execute(
                "SELECT 1 FROM said WHERE proof = ?", [one.proof]).fetchone()]
        for index, one in enumerate(said):
            known, texts = self.known(one.number) >= 0, (one.text_version, one.channel, one.proof)
            key = one.number, one.purpose, one.effective_ms
            rules = {
                "subscriber: no such number in this folder (it has 15 digits); nobody of it is counted": not known,
                f"purpose: use one of {', '.join(PURPOSES)}": one.purpose not in PURPOSES,
                f"answer: use one of {', '.join(ANSWERS)}": one.answer not in ANSWERS,
                "time: write it like 2026-05-12T10:00, from 1970 to 2199":
                    not 0 <= (one.effective_ms or 0) < LATEST_MS,
                f"text_version, channel, proof: use up to {TEXT_MAX} printable characters each":
                    not all(text.isprintable() and len(text) <= TEXT_MAX for text in texts),
                "text_version, channel, proof: hold the number of the subscriber, and the log must not":
                    known and any(str(one.number) in text for text in texts),
                "proof: is in the log, or used above; it names one decision": one.proof in proofs,
                "answer: is the opposite of one above, for the same time":
                    one.answer in ANSWERS and answers.setdefault(key, one.yes_or_no) != one.yes_or_no,
            }
            proofs += [one.proof] * (one.proof != "")
            found += [(index, words) for words, wrong in rules.items() if wrong]
        return found

    def record(self, said: list[Said]) -> list[Said]:
        """Record all of these or, where one cannot be, none: ConfigError names each.  Return them as recorded."""
        if problems := self.problems(said):
            raise ConfigError("consent", [words for _, words in problems])
        now_ms = self._now_ms()
        begin_ms = now_ms if self.begin_ms is None else self.begin_ms
        full = [one._replace(effective_ms=begin_ms if one.effective_ms is None else one.effective_ms,
                             proof=one.proof or secrets.token_hex(8), recorded_ms=now_ms) for one in said]
        names = self._names([one.number for one in full])
        rows = [(name, given.effective_ms is not None, *one[1:])
                for name, given, one in zip(names, said, full, strict=True)]
        with self._log() as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(f"INSERT INTO said(fingerprint, dated, {COLUMNS}) VALUES ({', '.join('?' * 9)})", rows)
            db.execute("COMMIT")
        return full

    def log(self) -> np.ndarray:
        """Return CHANGE[n]: everything that is recorded and not void, by time of effect, and then of recording."""
        with self._log() as db:
            rows = db.execute("SELECT effective_ms, fingerprint, purpose, answer FROM holds ORDER BY effective_ms, id")
            times_ms, names, purposes, answers = [*zip(*rows, strict=True)] or [()] * 4
        ours = fingerprints(self.rows["subscriber"], self.key).view("i8") if names else np.zeros(0, "i8")
        order = np.argsort(ours)
        at = order[np.minimum(np.searchsorted(ours, np.array(names, "i8"), sorter=order), len(ours) - 1)]
        found = np.empty(len(names), CHANGE)
        found["time_ms"], found["subscriber"] = times_ms, self.rows["subscriber"][at]
        found["purpose"], found["yes"] = [*map(PURPOSES.index, purposes)], [ANSWERS[one] for one in answers]
        return found[ours[at] == np.array(names, "i8")]  # the operator's file may have lost one since

    def state(self, number: int, at_ms: int = NEVER_MS) -> dict[str, str]:
        """Return yes, no or open by purpose, as it stands at a time; a yes and a no in the operator's file mean no."""
        flags = int(self.rows["consent"][self.known(number)])
        found = {one: "no" if flags & NO[one] else "yes" if flags & YES[one] else "open" for one in PURPOSES}
        return found | {one.purpose: one.yes_or_no for one in self.said(number, "holds")
                        if (one.effective_ms or 0) <= at_ms}

    def counted(self, number: int) -> dict[str, dict[str, bool]]:
        """Return whether a subscriber is counted in the end, by purpose and basis.  One handset's no holds for all."""
        family = self.rows[self.rows["person"] == self.rows["person"][self.known(number)]]
        bits = {(one, says): of[one] for says, of in (("yes", YES), ("no", NO)) for one in PURPOSES}
        flags = np.array([sum(bits.get(one, 0) for one in self.state(number).items())
                          for number in family["subscriber"].tolist()], "u1")
        asked, me = (flags, family["age"] == MINOR, family["person"]), family["subscriber"] == number
        return {one: {basis: bool(countable(*asked, one, basis)[me][0]) for basis in BASES} for one in PURPOSES}

    def turns(self, purpose: str, basis: str, begin_ms: int, shard=0, shards=1, also=None) -> np.ndarray:
        """Return TURN[n], by time: who is counted no longer, or from then on.  `row` is as it stands then.

        also : CHANGE[m] that are not in the log; of a subscriber who is in it for this purpose they say nothing
        What took effect before begin_ms stands there, and says only how it ended.
        """
        log, also = self.log(), np.zeros(0, CHANGE) if also is None else also
        log, also = (rows[rows["purpose"] == PURPOSES.index(purpose)] for rows in (log, also))
        changes = np.concatenate([also[~np.isin(also["subscriber"], log["subscriber"])], log])
        touched = np.isin(self.rows["subscriber"], changes["subscriber"])
        rows = self.rows[np.isin(self.rows["person"], self.rows["person"][touched])]
        rows = np.sort(rows[[mix64(one) % shards == shard for one in rows["person"]]], order=["person"])
        changes = changes[np.isin(changes["subscriber"], rows["subscriber"])]
        order = np.argsort(rows["subscriber"])
        at = order[np.searchsorted(rows["subscriber"], changes["subscriber"], sorter=order)]
        time_ms, person = np.maximum(changes["time_ms"], begin_ms), rows["person"]

        def counts(some: slice) -> np.ndarray:
            return countable(rows["consent"][some], rows["age"][some] == MINOR, person[some], purpose, basis)

        now, found = counts(slice(None)), []
        turn = np.lexsort((changes["time_ms"], person[at], time_ms))  # stable: at one time the last one recorded holds
        for k, i in enumerate(turn):
            yes, no = (YES, NO) if changes["yes"][i] else (NO, YES)
            rows["consent"][at[i]] = rows["consent"][at[i]] & ~no[purpose] | yes[purpose]
            if k + 1 < len(turn) and (time_ms[i], person[at[i]]) == (time_ms[turn[k + 1]], person[at[turn[k + 1]]]):
                continue
            family = slice(*np.searchsorted(person, person[at[i]] + np.array([0, 1], "u8")))
            then = counts(family)
            for j in family.start + np.flatnonzero(then != now[family]):
                found.append((time_ms[i], then[j - family.start], rows[j].item()))
            now[family] = then
        return np.array(found, TURN)

    def epochs(self, purpose: str, basis: str, begins_ms: list[int], shard=0, shards=1,
               also=None) -> list[tuple[int, bytes]]:
        """Return (from_ms, frame) of each epoch between begins_ms, the last of which is their end.

        The first holds what took effect before it.  also: as in `turns`.
        """
        turns = self.turns(purpose, basis, begins_ms[0], shard, shards, also)
        rows = np.zeros(len(turns), epochs.DECISION)
        rows["time_ms"] = turns["time_ms"]
        rows["fingerprint"] = fingerprints(np.ascontiguousarray(turns["row"]["subscriber"]), self.key)
        rows["row"][turns["counts"]] = turns["row"][turns["counts"]]
        cuts = np.searchsorted(rows["time_ms"], begins_ms).tolist()
        if max(b - a for a, b in pairwise(cuts)) > epochs.COUNT_MAX:
            raise RunError(f"more than {epochs.COUNT_MAX:,} people change what they said within one epoch")
        return [(begin, epochs.encode(epochs.Epoch(k, begin, end, purpose, basis, rows[a:b]), self.key))
                for k, ((begin, end), (a, b)) in enumerate(zip(pairwise(begins_ms), pairwise(cuts), strict=True), 1)]

    def windows(self, purpose: str, basis: str, begin_ms: int, also=None) -> np.ndarray:
        """Return WINDOW[n] of those who are counted for a part of the time from begin_ms, for the judge.

        The first window alone: who is counted a second time has another.  Everybody else's answer is that of the file.
        """
        found = dict[int, list[int]]()
        for one in self.turns(purpose, basis, begin_ms, also=also):
            window = found.setdefault(int(one["row"]["subscriber"]), [int(one["row"]["person"])])
            window += [begin_ms] * (len(window) == 1 and not one["counts"]) + [int(one["time_ms"])]
        return np.array([(number, *window, NEVER_MS)[:4] for number, window in found.items()], WINDOW)


def fill(folder: Path, rows: np.ndarray, zone: str, begin_ms: int | None) -> None:
    """Write the files of a new register."""
    data = subscribers.encode(subscribers.Subscribers(0, rows)), secrets.token_bytes(KEY_BYTES), b""
    for name, content in zip(FILES, data, strict=True):
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(content)
    with closing(sqlite3.connect(folder / FILES[-1], isolation_level=None)) as db:
        record.prepare(db, APPLICATION_ID, SCHEMA)
        db.execute("INSERT INTO meta VALUES (?, ?)", (begin_ms, zone))


def broken(folder: Path, new: bool = False) -> list[str]:
    """Return why a folder holds no register or, where it is new (empty, or not there yet), cannot hold one."""
    if not new and not folder.is_dir():
        return [f"{folder}: no such folder; name the subscriber folder of an edge"]
    path = folder.resolve()
    rules = {"can be read by others; close it with chmod 700": path.exists() and path.stat().st_mode & 0o077,
             "lies within the folder of a run, which is for everybody; name one outside":
                 any((above / "run.json").exists() for above in (path, *path.parents)),
             f"holds no register (needs {', '.join(FILES)}); name the subscriber folder of an edge, or a new one":
                 not new and any(not (path / name).is_file() for name in FILES)}
    return [f"{folder} {words}" for words, wrong in rules.items() if wrong]
