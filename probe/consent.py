"""Who may be counted: a table of those who may, and of nobody else.  Not in it = refused.

It knows subscribers by the fingerprints of their numbers, as epochs do: no number is kept, a no finds its entry.
It stands as the file of the operator's subscribers says, and changes as signed epochs say, in event time.
Without an epoch that covers a time nobody is counted then.
"""

import numpy as np

from probe.base.clock import midnights_ms
from probe.base.jit import kernel
from probe.base.memory import wipe
from probe.base.packing import WireError, require
from probe.base.streams import mix64
from probe.base.tally import Tally
from probe.identity import fingerprints
from probe.wire import epochs
from probe.wire.cells import COUNTRIES, HOME_ABROAD
from probe.wire.consent import YES, countable
from probe.wire.observations import NO_HOME
from probe.wire.subscribers import MINOR, Subscribers

LOAD, BUCKET, UNKNOWN_AGE, UNKNOWN_GENDER, KNOWN = 0.5, 8, 6, 2, np.array([mcc for mcc, _ in COUNTRIES])
# An entry with name 0 is empty; at least every other one is.  Counted is what happened from from_ms on.
COUNTED = np.dtype([("name", "u8"), ("person", "u8"), ("from_ms", "i8"), ("home", "u2"), ("klass", "u1"),
                    ("weekly", "u1")], align=True)
DENIED = np.dtype([("fingerprint", "u8"), ("until_ms", "i8")])  # of a person, and the end of the day of their no
NOBODY = np.zeros(0, "u8")


class Consent:
    """Who may be counted in a shard, for one purpose on one basis; changed by epochs alone.

    key : of the register that signs them.  Minors, objections, absent and conflicting answers are no
    (probe.wire.consent).  Over a week (weekly) only those are followed who said yes, whatever the basis.
    What is not taken is counted by kind, and told once for each.
    It is known who may be counted from since_ms until until_ms.
    """

    def __init__(self, known: Subscribers, purpose: str, basis: str, key: bytes, zone: str, shard=0, shards=1,
                 weekly=False):
        self._asked, self._key, self._zone, self._weekly = (purpose, basis, shard, shards), key, zone, weekly
        self.number, self._from_ms, self.until_ms, self.since_ms = known.epoch, 0, 0, 0  # of the newest, and the first
        self.counts, self.words = Tally(), dict[str, str]()
        self._due, self._denied, rows = np.zeros(0, epochs.DECISION), np.zeros(0, DENIED), known.rows
        ours = self._may(rows) & of_shard(np.ascontiguousarray(rows["person"]), shard, shards)
        self.table, self.tags, self._used = *vacant(BUCKET), 0
        self._add(rows[ours], np.zeros(int(ours.sum()), "i8"))
        move(np.zeros(0, COUNTED), self.table, self.tags)  # compiled before they are needed
        remove(np.zeros(0, "u8"), self.table, self.tags, np.zeros(0, "u8"))

    def take(self, frame: bytes) -> None:
        """Take an epoch, or count why not: broken, old, missing (the one before it), clock."""
        try:
            epoch = epochs.decode(frame, self._key)
            require(epoch[3:7] == self._asked, "for {}, {}, shard {} of {}".format(*epoch[3:7]))
        except WireError as error:
            return self.note("broken", f"an epoch that cannot be trusted ({error}) was not taken")
        number, from_ms, until_ms, *_, decisions = epoch
        if number <= self.number:
            return self.note("old", f"epoch {number} was not taken: epoch {self.number} is here already")
        if number > self.number + 1:
            return self.note("missing", f"epoch {number} was not taken: epoch {self.number + 1} is missing")
        if until_ms <= from_ms or (self.until_ms and not self._from_ms <= from_ms <= self.until_ms):
            return self.note("clock", f"epoch {number} was not taken: its time does not go on from the one before")
        self.since_ms = self.since_ms if self.until_ms else from_ms
        self.number, self._from_ms, self.until_ms = number, from_ms, until_ms
        every = joined(self._due, decisions.copy())
        self._due = every[np.argsort(every["time_ms"], kind="stable")]
        wipe(every)

    def note(self, kind: str, words: str, amount=1) -> None:
        """Count what is amiss, and keep the first words of each kind."""
        self.counts.count(kind, amount)
        if amount:
            self.words.setdefault(kind, words)

    def names(self, numbers: np.ndarray) -> np.ndarray:
        """Return the fingerprints of u8[n] subscribers, of which no copy stays."""
        found = fingerprints(copied := numbers.copy(), self._key)
        wipe(copied)
        return found

    def next_ms(self) -> int:
        """Return when the next who are counted stop; a time beyond all others if nobody is to."""
        at = np.flatnonzero(stops(self._due))
        return int(self._due["time_ms"][at[0]]) if len(at) else 1 << 62

    def advance(self, time_ms: int) -> np.ndarray:
        """Let every decision up to time_ms take effect, in order; return u8[n], the persons who are not counted now."""
        if not (last := int(np.searchsorted(self._due["time_ms"], time_ms, "right"))):
            return NOBODY
        due, self._due, gone = self._due[:last], self._due[last:], NOBODY
        for some in np.split(due, np.flatnonzero(np.diff(stops(due))) + 1):
            if stops(some)[0]:
                gone = np.append(gone, self._stop(some, time_ms))
            else:
                self._start(some)
        wipe(due)
        return np.unique(gone)

    def forget(self, midnight_ms: int) -> None:
        """Forget who said no on local days that ended by a midnight: nothing of those can be heard any more."""
        if (over := self._denied["until_ms"] <= midnight_ms).any():
            held, self._denied = self._denied, self._denied[~over]
            wipe(held)

    def _stop(self, due: np.ndarray, time_ms: int) -> np.ndarray:
        """Take who said no out of the table; return their persons, who stay out until the end of the local day.

        What they were granted on that day is forgotten with them; after it they would be granted it again.
        """
        names, persons = due["fingerprint"].copy(), np.zeros(len(due), "u8")
        persons = persons[: remove(names, self.table, self.tags, persons)]
        denied = np.zeros(len(persons), DENIED)
        denied["fingerprint"], denied["until_ms"] = self.names(persons), midnights_ms(time_ms, time_ms, self._zone)[1]
        self._used, self._denied = self._used - len(persons), joined(self._denied, denied)
        wipe(names)
        return persons

    def _start(self, due: np.ndarray) -> None:
        """Put who said yes into the table; who said no on the same local day is counted from its end on."""
        may = self._may(due["row"])
        self.note("contrary", "a yes that its row does not bear out (a minor, a no) was not heeded", int(np.sum(~may)))
        rows, from_ms = due["row"][may], due["time_ms"][may]
        names = self.names(rows["person"])
        for at in np.flatnonzero(np.isin(names, self._denied["fingerprint"])):
            until_ms = self._denied["until_ms"][self._denied["fingerprint"] == names[at]]
            from_ms[at] = max(from_ms[at], *until_ms)
        wipe(names)
        self._add(rows, from_ms)

    def _may(self, rows: np.ndarray) -> np.ndarray:
        """Return bool[n]: who of SUBSCRIBER[n] may be counted by what these say."""
        return countable(rows["consent"], rows["age"] == MINOR, rows["person"], *self._asked[:2])

    def _add(self, rows: np.ndarray, from_ms: np.ndarray) -> None:
        """Put SUBSCRIBER[n] into the table; who is in it already stays.  The home of a guest is a country."""
        known = np.append(rows["country"][:, None] == KNOWN[:-1], np.ones((len(rows), 1), "?"), axis=1)
        guest = (rows["home"] == NO_HOME) & (rows["country"] > 0)
        rows["home"][guest] = HOME_ABROAD + np.argmax(known, axis=1)[guest]
        size = 1 << int((self._used + len(rows)) / LOAD).bit_length()
        if size > len(self.table):
            held, (self.table, self.tags) = self.table, vacant(size)
            move(held, self.table, self.tags)
            wipe(held)
        agreed = (rows["consent"] & YES[self._asked[0]] != 0) & self._weekly
        names = self.names(rows["subscriber"])
        self._used += fill(names, rows, np.ascontiguousarray(from_ms), agreed, self.table, self.tags)
        wipe(names, rows)


def stops(decisions: np.ndarray) -> np.ndarray:
    """Return bool[n]: which of DECISION[n] are a no."""
    return decisions["row"]["subscriber"] == 0


def joined(*arrays: np.ndarray) -> np.ndarray:
    """Return arrays one after the other, and zero the memory of each."""
    found = np.concatenate(arrays)
    wipe(*arrays)
    return found


def vacant(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an open-addressing table COUNTED[2^k] with nobody in it, each entry in one cache line, and its tags.

    A search begins with a bucket of eight entries; their tags, u1[2^k], 0 = empty, are one word, so that it seldom
    needs a branch, or an entry of somebody else.
    """
    room = np.zeros(size * COUNTED.itemsize + 64, "u1")
    first = -room.ctypes.data % 64
    return room[first : first + size * COUNTED.itemsize].view(COUNTED), np.zeros(size, "u1")


@kernel
def of_shard(person, shard, shards):
    """Return bool[n]: which of u8[n] persons belong to a shard; shards divides 64."""
    return np.array([mix64(one) % np.uint64(shards) == np.uint64(shard) for one in person])


@kernel
def fill(names, rows, from_ms, weekly, table, tags):
    """Put u8[n], SUBSCRIBER[n], i8[n], bool[n] into a table with room for them; return how many were not in it."""
    added = 0
    for i, one in enumerate(rows):
        at = find(names[i], table)
        entry = table[at]
        if entry.name == 0:
            added, tags[at] = added + 1, tag_of(names[i])
            entry.name, entry.person, entry.home, entry.weekly = names[i], one.person, one.home, weekly[i]
            entry.klass = min(one.age, UNKNOWN_AGE) * (UNKNOWN_GENDER + 1) + min(one.gender, UNKNOWN_GENDER)
            entry.from_ms = from_ms[i]
    return added


@kernel
def move(held, table, tags):
    """Put all of COUNTED[n] into a table with room for them."""
    for entry in held:
        if entry.name != 0:
            at = find(entry.name, table)
            table[at], tags[at] = entry, tag_of(entry.name)


@kernel
def remove(names, table, tags, persons):
    """Take u8[n] fingerprints out of a table, zeroed; write whose they were to u8[n], return how many were in it.

    Whoever would not be found past the gap moves into it (Knuth, TAOCP volume 3, section 6.4, algorithm R).
    """
    count, last = 0, len(table) - 1
    for name in names:
        gap = find(name, table)
        if table[gap].name == 0:
            continue
        persons[count], count, at = table[gap].person, count + 1, gap
        while True:
            at = (at + 1) & last
            if table[at].name == 0:
                break
            if (at - start(table[at].name, table)) & last >= (at - gap) & last:
                table[gap], tags[gap], gap = table[at], tags[at], at
        one, tags[gap] = table[gap], 0
        one.name, one.person, one.from_ms, one.home, one.klass, one.weekly = 0, 0, 0, 0, 0, 0
    return count


@kernel
def start(name, table):
    """Return where the search for a fingerprint begins: a bucket."""
    return np.int64(name & np.uint64(len(table) - BUCKET))


@kernel
def find(name, table):
    """Return the entry of a fingerprint, or the empty one that ends the search."""
    at = start(name, table)
    while table[at].name != name and table[at].name != 0:
        at = (at + 1) & (len(table) - 1)
    return at


@kernel
def tag_of(name):
    """Return the tag, 1 to 255, of a fingerprint."""
    return max(name >> np.uint64(56), np.uint64(1))


@kernel
def seek(names, table, words, at):
    """Write to i8[n] the entry of each u8 fingerprint, or of one of the same tag, or -1; return no meaning.

    words : u8[2^k / 8], the tags of a bucket each
    Touches every bucket, then every entry, in loops so short that many misses of the cache are on their way at once.
    """
    touched, each, last = np.uint64(0), np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
    for name in names:
        touched ^= words[start(name, table) >> 3]
    for i, name in enumerate(names):
        first = start(name, table)
        word = words[first >> 3]
        differs = word ^ (each * tag_of(name))
        same = (differs - each) & ~differs & last  # the lowest bit is that of the first byte that is zero
        lowest = (same & (~same + np.uint64(1))) >> np.uint64(7)
        here = (lowest * np.uint64(0x0001020304050607)) >> np.uint64(56)  # which byte it is in
        at[i] = first + np.int64(here) if same else -1
        if (same == 0) & ((word - each) & ~word & last == 0):  # seldom: the bucket is full of others
            at[i] = find(name, table)
    for i in range(len(names)):
        touched ^= table[max(at[i], 0)].name
    return touched
