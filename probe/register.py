"""The register of an edge: who its subscribers are, what each of them said and when, who may be counted from when on.

A folder that only its owner can read, outside of every run: `subscribers` (the operator's file: the answers at the
start), `key` (32 bytes), `consent.db` (a log that only grows; it holds fingerprints, no number).  Edge only.
"""

import re
import secrets
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from copy import copy
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from probe.base import clock, record
from probe.base.config import ConfigError, RunError
from probe.base.packing import WireError, require
from probe.consent import of_shard
from probe.identity import fingerprints
from probe.wire import epochs, subscribers
from probe.wire.consent import BASES, CHANGE, NO, PURPOSES, YES, countable
from probe.wire.subscribers import MINOR, SUBSCRIBER

APPLICATION_ID, KEY_BYTES, SLOT_MS, TEXT_MAX, FEW = 0x4646434F, 32, 900_000, 64, 100  # "FFCO"
# A yes, a yes taken back, an objection.
FILES, ANSWERS = ("subscribers", "key", "consent.db"), {"give": "yes", "withdraw": "no", "refuse": "no"}
LATEST_MS, NEVER_MS = 7_258_118_400_000, np.iinfo("i8").max  # the year 2200: later is a slip of the pen
UNKNOWN = "no subscriber of that number in this folder; a number has 15 digits"
# For the judge: a subscriber whose answer changes is counted from .. until; from_ms >= until_ms: never.
WINDOW = np.dtype([("subscriber", "<u8"), ("person", "<u8"), ("from_ms", "<i8"), ("until_ms", "<i8")])
NOTHING, NOBODY = np.zeros(0, CHANGE), np.zeros((), SUBSCRIBER)[()]
SCHEMA = """CREATE TABLE meta(begin_ms INTEGER, zone TEXT NOT NULL, key_check INTEGER NOT NULL);
CREATE TABLE said(id INTEGER PRIMARY KEY, fingerprint INTEGER NOT NULL, purpose TEXT NOT NULL, answer TEXT NOT NULL,
    effective_ms INTEGER NOT NULL, text_version TEXT NOT NULL, channel TEXT NOT NULL, proof TEXT NOT NULL UNIQUE,
    recorded_ms INTEGER NOT NULL, dated INTEGER NOT NULL); CREATE INDEX of_one ON said(fingerprint);
CREATE VIEW holds AS SELECT * FROM said AS one WHERE NOT EXISTS (SELECT 1 FROM said WHERE id > one.id AND NOT dated
    AND fingerprint = one.fingerprint AND purpose = one.purpose AND effective_ms <= one.effective_ms);
CREATE TRIGGER no_update BEFORE UPDATE ON said BEGIN SELECT raise(ABORT, 'what was said is never changed'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON said BEGIN SELECT raise(ABORT, 'what was said is never changed'); END"""


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
    dated: bool = True


COLUMNS, TEXTS = ", ".join(Said._fields[1:]), Said._fields[4:7]


class Register:
    """One folder, read once; the log is opened for each statement, so that several may use it.

    begin_ms : where a simulation begins, and what is said without a time takes effect; None: live, at once
    """

    def __init__(self, folder: Path | str, now_ms: Callable[[], int] = clock.WallClock.utc_ms):
        self.folder, self._wall_ms = Path(folder), now_ms
        try:
            require(any((self.folder / name).exists() for name in FILES), "it is no subscriber folder")
            refuse_shared(self.folder)
            self.rows = subscribers.decode((self.folder / "subscribers").read_bytes()).rows
            self.key = (self.folder / "key").read_bytes()
            require(len(self.key) == KEY_BYTES, f"key: is not {KEY_BYTES} bytes")
        except (OSError, WireError) as error:  # what is wrong with it, never what is in it
            raise fault(folder, f"holds no register that can be read: {error}; name the folder of an edge") from None
        ((self.begin_ms, self.zone, check),) = self._ask("SELECT begin_ms, zone, key_check FROM meta")
        if [check] != self._names([0]).tolist():
            raise fault(self.folder / "key", "is not the key of this log; restore the key of this folder")

    @classmethod
    def create(cls, folder: Path, rows: np.ndarray, zone: str, begin_ms: int | None = None) -> "Register":
        """Return the register of a folder: made where there is none; one that is there must be of these SUBSCRIBER[n].

        Raises ConfigError where others can read it, it holds anything else, or lies within a run.
        """
        try:
            if not folder.exists() or not any(folder.iterdir()):
                refuse_shared(folder)
                fill(folder, rows, zone, begin_ms)
        except OSError as error:
            raise fault(folder, "is being made by another program; run it again" if (folder / "key").exists() else
                        f"cannot be made: {error.strerror}; name one that can be written") from None
        found = cls(folder)
        if (found.begin_ms, found.zone) != (begin_ms, zone) or found.rows.tobytes() != rows.tobytes():
            raise fault(folder, "holds the subscribers of another world; name a new folder, or run the world it is of")
        return found

    def _ask(self, words: str, given: Iterable[Sequence] = ((),)) -> list[tuple]:
        """Return what a statement finds in the log, once for each row that is given; all of them, or none."""
        path = self.folder / "consent.db"
        try:  # rw: a log that is lost is never made anew
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as db, db:
                if record.marked(db) != (APPLICATION_ID, record.USER_VERSION):
                    raise RunError(f"{path}: is of another program or version")
                return [found for row in given for found in db.execute(words, row)]
        except sqlite3.Error as error:
            raise RunError(f"{path}: {error}; run it again as its owner, who may write it and the folder") from None

    def now_ms(self) -> int:
        """Return as of when everything is told: the wall clock, or where a simulation begins."""
        return self._wall_ms() if self.begin_ms is None else self.begin_ms

    def number(self, text: str) -> int:
        """Return the number that a text of 15 digits says, blanks and hyphens aside; 0 where nobody here has it."""
        found = int(digits) if re.fullmatch(r"[0-9]{15}", digits := re.sub(r"[\s-]", "", text)) else 0
        return found if self._row(found) is not None else 0

    def _row(self, number: int) -> Any:
        """Return the SUBSCRIBER of a number, or None."""
        at = np.searchsorted(self.rows["subscriber"], np.uint64(number))
        return self.rows[at] if at < len(self.rows) and self.rows["subscriber"][at] == number else None

    def moment(self, text: str | None) -> int | None:
        """Return UTC milliseconds of an ISO time, local where it states no offset; None for none.

        -1 for no time, and for a local one that the clock on the wall leaves out or shows twice.
        """
        if text is None:
            return None
        try:
            found = datetime.fromisoformat(text)
            a_s, b_s = (found.replace(tzinfo=found.tzinfo or clock.zone(self.zone), fold=k).timestamp() for k in (0, 1))
            return int(a_s * clock.SECOND_MS) if a_s == b_s else -1
        except (ValueError, OverflowError):
            return -1

    def _names(self, numbers: Any) -> np.ndarray:
        """Return the fingerprints of numbers, as SQLite keeps them."""
        return fingerprints(np.asarray(numbers, "u8"), self.key).view("i8")

    def example(self, purpose: str) -> int:
        """Return the first made-up number of an adult who said yes; ConfigError where there is none."""
        yes = counts(self.rows, purpose, "consent") if self.begin_ms is not None and purpose in PURPOSES else ()
        if not any(yes):
            raise fault(self.folder, f"has no made-up number with a yes to one of {', '.join(PURPOSES)}; use another")
        return int(self.rows["subscriber"][yes][0])

    def problems(self, said: list[Said]) -> list[tuple[int, str]]:
        """Return (index, words) of everything for which these cannot be recorded; no word holds a number."""
        in_log = self._ask("SELECT proof FROM said WHERE proof = ?", [[one.proof] for one in said])
        found, above, proofs = [], dict[tuple, str](), {proof for (proof,) in in_log}
        for index, one in enumerate(said):
            number, purpose, answer, effective_ms, *texts = one[:7]
            rules = {
                f"subscriber: {UNKNOWN}": self._row(number) is None,
                f"purpose: use one of {', '.join(PURPOSES)}": purpose not in PURPOSES,
                f"answer: use one of {', '.join(ANSWERS)}": answer not in ANSWERS,
                "time: write it like 2026-05-12T10:00, from 1970 to 2199; where the clock is changed, with its offset: "
                "2026-03-29T03:30+02:00": not 0 <= (effective_ms or 0) < LATEST_MS,
                **{f"{name}: use 1 to {TEXT_MAX} printable characters, never the number":
                   len(text) > TEXT_MAX or not text.isprintable() or f"{number:015}" in text
                   or not (text.strip() or name == "proof") for name, text in zip(TEXTS, texts, strict=True)},
                "proof: is in the log, or used above; it names one decision": one.proof in proofs,
                "answer: is the opposite of one above, for the same time": answer in ANSWERS
                    and above.setdefault((number, purpose, effective_ms), ANSWERS[answer]) != ANSWERS[answer],
            }
            proofs |= {one.proof} - {""}
            found += [(index, words) for words, wrong in rules.items() if wrong]
        return found

    def record(self, said: list[Said]) -> list[Said]:
        """Record all of these or, where one cannot be, none: ConfigError names each.  Return them as recorded."""
        if problems := self.problems(said):
            raise ConfigError("consent", [words for _, words in problems])
        now_ms, recorded_ms = self.now_ms(), self._wall_ms()
        full = [one._replace(effective_ms=now_ms if one.effective_ms is None else one.effective_ms,
                             proof=one.proof or secrets.token_hex(8), recorded_ms=recorded_ms,
                             dated=one.effective_ms is not None) for one in said]
        names = self._names([one.number for one in said]).tolist()
        self._ask(f"INSERT INTO said(fingerprint, {COLUMNS}) VALUES ({', '.join('?' * 9)})",
                  [(name, *one[1:]) for name, one in zip(names, full, strict=True)])
        return full

    def said(self, number: int, of: str = "said") -> list[Said]:
        """Return everything that is recorded of a subscriber, in order of effect; of "holds": what is not void."""
        words = f"SELECT {COLUMNS} FROM {of} WHERE fingerprint = ? ORDER BY effective_ms, id"
        return [Said(number, *row) for row in self._ask(words, [self._names([number]).tolist()])]

    def told(self, one: Said) -> dict[str, Any]:
        """Return what was recorded and since which slot it holds, by the clock on the wall; never whose it is."""
        start_ms = (at_ms := one.effective_ms or 0) // SLOT_MS * SLOT_MS
        start, end = (clock.local(time_ms, self.zone) for time_ms in (start_ms, start_ms + SLOT_MS))
        since = (self._from(at_ms) if at_ms > self.now_ms() else
                 f"effective since slot {start.day} {start:%B %Y, %H:%M} to {end:%H:%M %Z}")
        return {"purpose": one.purpose, "answer": ANSWERS[one.answer], "said": one.answer,
                "since": f"{since} (text {one.text_version}, channel {one.channel}, proof id {one.proof})",
                "slot_start": start.isoformat(timespec="minutes"), "slot_end": end.isoformat(timespec="minutes"),
                "text_version": one.text_version, "channel": one.channel, "proof": one.proof}

    def _from(self, time_ms: int) -> str:
        return f"from {(at := clock.local(time_ms, self.zone)).day} {at:%B %Y, %H:%M %Z} on"

    def _course(self, number: int, purpose: str, basis: str) -> list[tuple[int, bool]]:
        """Return (from_ms, counted) of a subscriber in order of time, of a register of one person.

        As the probe has it: who was counted on a local day and then not any more, is not again before the next.
        """
        found, again_ms = [(-1, bool(counts(self.rows, purpose, basis)[self.rows["subscriber"] == number][0]))], 0
        for time_ms, on, row in self.turns(purpose, basis, self.begin_ms or 0):
            again_ms = again_ms if on else clock.midnights_ms(time_ms, time_ms, self.zone)[1]
            from_ms = max(time_ms, again_ms) if on else time_ms
            if row["subscriber"] == number:  # a later word comes before what was put off
                found = [one for one in found if one[0] < from_ms]
                found += [(from_ms, on)] * (on != found[-1][1])
        return found

    def _stands(self, number: int, purpose: str) -> tuple[str, list[dict], list[dict]]:
        """Return the answer as of now, and what is told of it: by now, and for later."""
        flags, now_ms = self._row(number)["consent"], self.now_ms()
        held, later = ([self.told(one) for one in self.said(number, "holds")
                        if one.purpose == purpose and ((one.effective_ms or 0) > now_ms) == ahead] for ahead in (0, 1))
        by_file = "no" if flags & NO[purpose] else "yes" if flags & YES[purpose] else "open"
        return held[-1]["answer"] if held else by_file, held, later

    def shown(self, number: int) -> dict[str, Any]:
        """Return all that a subscriber may be shown: what holds now, what is announced, and the history.

        later : what they said for a later time;  why : a yes does not hold, in words: a minor, or another handset's no
        turns : in words, by basis, when from now on they are counted, or not any more
        """
        person, purposes, now_ms = copy(self), [], self.now_ms()
        person.rows = self.rows[self.rows["person"] == self._row(number)["person"]]
        minor = bool((person.rows["age"] == MINOR).any())
        others = person.rows["subscriber"][person.rows["subscriber"] != number].tolist()
        for purpose in PURPOSES:
            answer, held, later = self._stands(number, purpose)
            course = {basis: person._course(number, purpose, basis) for basis in BASES}
            purposes.append([{"since": "by the records of the network"}, *held][-1] | {
                "purpose": purpose, "answer": answer, "later": later,
                "why": "a minor" if minor else "another handset of the person said no"
                    if any(self._stands(one, purpose)[0] == "no" for one in others) else "",
                "counted": {basis: [on for at_ms, on in some if at_ms <= now_ms][-1] for basis, some in course.items()},
                "turns": {basis: [f"{'' if on else 'not '}counted {self._from(at_ms)}" for at_ms, on in some
                                  if at_ms > now_ms] for basis, some in course.items()}})
        return {"minor": minor, "purposes": purposes,
                "said": [self.told(one) for one in self.said(number)]}

    def log(self) -> np.ndarray:
        """Return CHANGE[n]: everything that is recorded and not void, by time of effect, and then of recording."""
        names = self._names(self.rows["subscriber"])
        few = f" WHERE fingerprint IN {(*names.tolist(), 0)}" if len(names) < FEW else ""
        said = self._ask(f"SELECT effective_ms, fingerprint, purpose, answer FROM holds{few} ORDER BY effective_ms, id")
        ours = np.isin(names, np.array([name for _, name, *_ in said], "i8"))
        numbers = dict(zip(names[ours].tolist(), self.rows["subscriber"][ours].tolist(), strict=True))
        return np.array([(time_ms, numbers[name], PURPOSES.index(purpose), ANSWERS[answer] == "yes")
                         for time_ms, name, purpose, answer in said if name in numbers], CHANGE)

    def turns(self, purpose: str, basis: str, begin_ms: int, shard=0, shards=1,
              also=NOTHING) -> list[tuple[int, bool, np.void]]:
        """Return (time_ms, counted, SUBSCRIBER as it stands then) of who is counted no longer or from then on, by time.

        also : CHANGE[m] by time, not in the log; of a subscriber who is in it for this purpose they say nothing
        What took effect before begin_ms stands there, and says only how it ended.
        """
        log, also = (some[some["purpose"] == PURPOSES.index(purpose)] for some in (self.log(), also))
        changes = np.append(also[~np.isin(also["subscriber"], log["subscriber"])], log)
        rows, by_person = self.rows.copy(), np.argsort(self.rows["person"], kind="stable")
        persons, at = rows["person"][by_person], np.searchsorted(rows["subscriber"], changes["subscriber"])
        whose, time_ms, found = rows["person"][at], np.maximum(changes["time_ms"], begin_ms), []
        order = np.lexsort((whose, time_ms))  # stable: the last word of a subscriber by that time holds
        order = order[of_shard(whose, shard, shards)[order]]
        for (now_ms, person), said in groupby(order, lambda one: (time_ms[one], whose[one])):
            family = by_person[slice(*np.searchsorted(persons, person + np.array([0, 1], "u8")))]
            before = counts(rows[family], purpose, basis)
            for one in said:
                rows["consent"][at[one]] = changed(rows["consent"][at[one]], purpose, changes["yes"][one])
            after = counts(rows[family], purpose, basis)
            found += [(int(now_ms), bool(after[one]), rows[family[one]].copy())
                      for one in np.flatnonzero(before != after)]
        return found

    def epochs(self, purpose: str, basis: str, begins_ms: list[int], shard=0, shards=1,
               also=NOTHING) -> list[tuple[int, bytes]]:
        """Return (from_ms, frame) of each epoch between begins_ms, the last of which is their end.

        The first holds what took effect before it.  also: as in `turns`.
        """
        turns = self.turns(purpose, basis, begins_ms[0], shard, shards, also)
        rows = np.array([(time_ms, 0, row if counted else NOBODY) for time_ms, counted, row in turns], epochs.DECISION)
        rows["fingerprint"] = self._names([row["subscriber"] for *_, row in turns]).view("u8")
        cuts = np.searchsorted(rows["time_ms"], begins_ms).tolist()
        if max(b - a for a, b in pairwise(cuts)) > epochs.COUNT_MAX:
            raise RunError(f"more than {epochs.COUNT_MAX:,} people change what they said within one epoch")
        return [(begin, epochs.encode(epochs.Epoch(k, begin, end, purpose, basis, shard, shards, rows[a:b]), self.key))
                for k, ((begin, end), (a, b)) in enumerate(zip(pairwise(begins_ms), pairwise(cuts), strict=True), 1)]

    def windows(self, purpose: str, basis: str, begin_ms: int, also=NOTHING) -> np.ndarray:
        """Return WINDOW[n] of those who are counted for a part of the time from begin_ms, for the judge.

        The first window alone: who is counted a second time has another.  Everybody else's answer is that of the file.
        """
        found = dict[tuple, list[int]]()
        for time_ms, counted, row in self.turns(purpose, basis, begin_ms, also=also):
            window = found.setdefault((row["subscriber"], row["person"]), [])
            window += [time_ms] if counted or window else [begin_ms, time_ms]
        return np.array([(*who, *window, NEVER_MS)[:4] for who, window in found.items()], WINDOW)


def counts(rows: np.ndarray, purpose: str, basis: str) -> np.ndarray:
    """Return bool[n]: who of SUBSCRIBER[n] may be counted.  Whoever belongs to one person is to be among them."""
    return countable(rows["consent"], rows["age"] == MINOR, rows["person"], purpose, basis)


def changed(flags: np.uint8, purpose: str, yes: bool) -> np.uint8:
    """Return the bits of one subscriber after a yes or a no."""
    return flags & ~(YES[purpose] | NO[purpose]) | (YES if yes else NO)[purpose]


def fill(folder: Path, rows: np.ndarray, zone: str, begin_ms: int | None) -> None:
    """Make the folder of a new register: all of it is there, or nothing."""
    (parent := folder.absolute().parent).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as made:
        data = subscribers.encode(subscribers.Subscribers(0, rows)), secrets.token_bytes(KEY_BYTES), b""
        for name, content in zip(FILES, data, strict=True):
            (path := Path(made) / name).touch(mode=0o600)
            path.write_bytes(content)
        with closing(sqlite3.connect(path)) as db, db:
            record.prepare(db, APPLICATION_ID, SCHEMA)
            db.execute("PRAGMA journal_mode = DELETE")  # a folder that nobody may write can be read
            check = fingerprints(np.zeros(1, "u8"), data[1]).view("i8").tolist()
            db.execute("INSERT INTO meta VALUES (?, ?, ?)", (begin_ms, zone, *check))
        Path(made).rename(folder)


def refuse_shared(folder: Path) -> None:
    """Raise ConfigError where others can read a folder, or where it lies within a run."""
    path = folder.resolve()
    if any((above / "run.json").exists() for above in (path, *path.parents)):
        raise fault(folder, "lies within the folder of a run, which is given to others; name one outside")
    if path.exists() and path.stat().st_mode & 0o077:
        raise fault(folder, "can be read by others; close it with chmod 700")


def fault(path: Path | str, words: str) -> ConfigError:
    """Return what is wrong with a folder, or with a file in it."""
    return ConfigError("the subscriber folder", [f"{path} {words}"])
