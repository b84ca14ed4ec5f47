"""Presence as person-time: who was where for how long, in whole numbers, constant work for each event.

A person holds 64 units, spread over at most six pieces, from one observation to the next.
Entering a piece at t (ms since the slot began) takes t times the units from its sum and adds
the units to its occupancy; leaving does the reverse.  At the end of the slot the tally is
sum + occupancy * length: nobody is looked at who did not move.

One row a person, found by pseudonym: 96 bytes with the DAY of one area set, so an event touches two lines of the cache
at most.  Times are milliseconds of the local day:
lower   : u4[r]      lower half of the pseudonym
persons : PERSON[r]  where they are, and the next row + 1 in the same bucket of the wheel; weight 0 = nowhere
table   : u8[2^k]    open addressing: upper half of the pseudonym, and row + 1; 0 = empty
wheel   : i4[b]      first row + 1 in the bucket of a slot (slot mod b): who may fall silent in it
journal : u4[n]      where people were, note by note: (piece * 256 + weight) of all that held them, ms of the day
                     until then * 8 + how many pieces, row + 1; a note begins at its end

people and diary are People and Diary of collector.edge.crowd.
"""

import numpy as np

from collector.edge.kernels.visits import NOTED, ROW, arrive, enter, leave
from probe.base.jit import bare, kernel

AREAS_MAX, CELL_ONLY, DETACH, END, BLOCK = 6, 1, 2, -1, 256
PERSON = np.dtype([("last_ms", "<i4"), ("link", "<i4"), ("cell", "<u4"), ("area", "<u2", AREAS_MAX),
                   ("weight", "u1", AREAS_MAX), ("home", "<u2"), ("klass", "u1")])  # link 0: in no bucket
NOTE_MAX = AREAS_MAX + 2  # words of the journal
U8, LOWER, UPPER = np.uint64, np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFF00000000)


@bare
def find_rows(keys, rows, table, lower, used):
    """Write to i4[n] the row of each u8 key; return how many rows are used when who is new has one.

    lower : u4[r], the lower half of the key of each row; there is room for n more
    """
    for i in range(len(keys)):
        at = place_of(U8(keys[i]), table, lower)
        if table[at] == U8(0):
            lower[used], used = keys[i] & LOWER, used + 1
            table[at] = (keys[i] & UPPER) | U8(used)
        rows[i] = np.int64(table[at] & LOWER) - 1
    return used


@bare
def place_of(key, table, lower):
    """Return where a key stands in a table, or would."""
    mask = U8(len(table) - 1)
    at = key & mask
    while table[at] != U8(0) and ((table[at] ^ key) & UPPER != U8(0) or
                                  lower[np.int64(table[at] & LOWER) - 1] != key & LOWER):
        at = (at + U8(1)) & mask
    return at


@bare
def rehash(smaller, lower, table):
    """Enter the rows of a smaller table into one that is empty."""
    mask = U8(len(table) - 1)
    for entry in smaller:
        if entry != U8(0):
            at = U8(lower[np.int64(entry & LOWER) - 1]) & mask
            while table[at] != U8(0):
                at = (at + U8(1)) & mask
            table[at] = entry


@kernel
def sound(fixes, piece_count, units):
    """Return bool[n]: which fixes spread just `units` over pieces that exist; the bound of a table rests on it."""
    found = np.empty(len(fixes), np.bool_)
    for i in range(len(fixes)):
        total, k = 0, 0
        while k < AREAS_MAX and fixes[i].weight[k] > 0 and fixes[i].area[k] < piece_count:
            total, k = total + fixes[i].weight[k], k + 1
        found[i] = total == units and (k == AREAS_MAX or fixes[i].weight[k] == 0)
    return found


@bare
def count(observations, fixes, keys, rows, table, used, people, diary):
    """Count observations of the open slot, in order of time; return how many rows are used then, and no meaning.

    observations, fixes : OBSERVATION[n], FIX[n]; keys: u8[n] their pseudonyms; rows: i4[n] for own use

    Block by block, and each touches what it will need without a branch first: so many misses
    of the cache are on their way at once.
    """
    touched, mask = 0, U8(len(table) - 1)
    for first in range(0, len(rows), BLOCK):
        block = slice(first, first + BLOCK)
        for key in keys[block]:
            touched ^= np.int64(table[key & mask] & LOWER)
        for key in keys[block]:
            touched ^= people.lower[max(np.int64(table[key & mask] & LOWER), 1) - 1]
        earlier, used = used, find_rows(keys[block], rows[block], table, people.lower, used)
        for row in rows[block]:
            touched ^= people.persons[row].klass
            for s in range(len(people.areas)):
                touched ^= people.days[row, s].area
        move(observations[block], fixes[block], rows[block], earlier, people, diary)
    return used, touched


@bare
def move(observations, fixes, rows, used, people, diary):
    """Count observations of the open slot, in order of time.

    observations, fixes : OBSERVATION[n], FIX[n]
    rows, used          : i4[n] of persons, of which those from `used` are new
    """
    day_ms, begin_ms, length_ms, expiry_ms = diary.clock
    for i in range(len(rows)):
        row, time_ms, cell = rows[i], observations[i].time_ms - day_ms, observations[i].cell
        person, gone = people.persons[row], observations[i].kind == DETACH
        if row == used:  # one person has one class and home a day, whatever two handsets say
            used, person.klass, person.home = used + 1, observations[i].klass, observations[i].home
            for k in range(len(people.week)):
                people.week[k, row] = observations[i].week
        here, expires_ms, person.last_ms = person.weight[0] > 0, person.last_ms + expiry_ms, time_ms
        still = here and expires_ms > time_ms and not gone
        if still and ((fixes[i].content == CELL_ONLY and person.cell == cell) or same(person, fixes[i])):
            person.cell = cell
            continue  # the better fix in this cell still holds, or this one says nothing new
        diary.at[ROW] = row
        if here:
            depart(row, person, min(expires_ms, time_ms), people, diary)
        if not still:
            end(row, min(expires_ms, time_ms), people, diary)
        if gone:
            continue
        if not still:
            note(row, 0, time_ms, diary)  # who was nowhere
        person.cell = cell
        for k in range(AREAS_MAX):
            person.area[k], person.weight[k] = fixes[i].area[k], fixes[i].weight[k]
        settle(person, time_ms - begin_ms, people)
        if person.link == 0:
            hang(row, (time_ms + expiry_ms) // length_ms, people)
        for s in range(len(people.areas)):
            day, area = people.days[row, s], main_area(person, people.areas[s])
            if still and day.area == area:
                continue
            if still and holds(person, people.areas[s], day.area):
                enter(day, area, time_ms, diary)
                continue
            if still:
                leave(day, s, time_ms, True, diary)
            arrive(day, s, area, time_ms, diary)


@bare
def same(person, fix):
    """Return whether a person is held just as a fix says."""
    other = 0
    for k in range(AREAS_MAX):
        other |= (person.area[k] ^ fix.area[k]) | (person.weight[k] ^ fix.weight[k])
    return other == 0


@bare
def main_area(person, areas):
    """Return the area that holds most of a person; of equals the first."""
    best, most, held = areas[person.area[0]], 0, 0
    if person.weight[0] > 32:
        return best  # more than half of 64
    while held < AREAS_MAX and person.weight[held] > 0:
        held += 1
    for j in range(held):
        area, units = areas[person.area[j]], 0
        for k in range(held):
            if areas[person.area[k]] == area:
                units += person.weight[k]
        if units > most or (units == most and area < best):
            best, most = area, units
    return best


@bare
def holds(person, areas, area):
    """Return whether an area holds anything of a person."""
    k = 0
    while k < AREAS_MAX and person.weight[k] > 0 and areas[person.area[k]] != area:
        k += 1
    return k < AREAS_MAX and person.weight[k] > 0


@bare
def settle(person, at_ms, people):
    """Let a person hold their units from at_ms after the slot began."""
    for k in range(AREAS_MAX):
        if person.weight[k] == 0:
            break
        piece, klass, units = person.area[k], person.klass, np.int64(person.weight[k])
        people.sums[piece, klass, 0] -= units * at_ms
        people.sums[piece, klass, 1] += units


@bare
def depart(row, person, until_ms, people, diary):
    """Let a person hold their units no more from until_ms of the day, and note where they were."""
    n, k, at_ms = diary.at[NOTED], 0, until_ms - diary.clock[1]
    while k < AREAS_MAX and person.weight[k] > 0:
        piece, klass, units = person.area[k], person.klass, np.int64(person.weight[k])
        people.sums[piece, klass, 0] += units * at_ms
        people.sums[piece, klass, 1] -= units
        diary.journal[n + k], k = np.int64(piece) << 8 | units, k + 1
    note(row, k, until_ms, diary)


@bare
def note(row, held, until_ms, diary):
    """End a note of the journal: until then a person was held by so many pieces."""
    n = diary.at[NOTED] + held
    diary.journal[n], diary.journal[n + 1], diary.at[NOTED] = until_ms * 8 + held, row + 1, n + 2


@bare
def end(row, at_ms, people, diary):
    """Let a person be nowhere, and end their stays, if they are somewhere."""
    if people.persons[row].weight[0] > 0:
        people.persons[row].weight[0], diary.at[ROW] = 0, row
        for s in range(len(people.areas)):
            leave(people.days[row, s], s, at_ms, False, diary)


@bare
def hang(row, slot, people):
    """Put a row into the bucket of a slot."""
    bucket = slot % len(people.wheel)
    people.persons[row].link, people.wheel[bucket] = people.wheel[bucket], row + 1


@bare
def expire(people, diary):
    """End who fell silent in the slot that ends.

    A row hangs in one bucket only, and is looked at when that slot ends: who has spoken
    since moves on to the bucket of the new expiry.  The instant counted is exact all the same.
    """
    _, begin_ms, length_ms, expiry_ms = diary.clock
    bucket = begin_ms // length_ms % len(people.wheel)
    link, people.wheel[bucket] = people.wheel[bucket], END
    while link != END:
        row, person = link - 1, people.persons[link - 1]
        link, person.link, expires_ms = person.link, 0, person.last_ms + expiry_ms
        if person.weight[0] > 0 and expires_ms >= begin_ms + length_ms:
            hang(row, expires_ms // length_ms, people)
        elif person.weight[0] > 0:
            depart(row, person, expires_ms, people, diary)
            end(row, expires_ms, people, diary)


@bare
def finish(used, people, diary):
    """End every stay with the slot that ends, and the local day with it."""
    for row in range(used):
        end(row, diary.clock[1] + diary.clock[2], people, diary)


@bare
def mark(days, week, rows, weeks, bit):
    """Keep for each person the areas of a day's visits: WEEK[rows], first come; who has no pseudonym has no row."""
    for i in range(len(rows)):
        if week[i] == U8(0):
            continue
        for entry in days[i].entry:
            k = 0
            while k < len(weeks[rows[i]].area) and weeks[rows[i]].area[k] != entry // 8 and weeks[rows[i]].area[k] != 0:
                k += 1
            if entry & 7 and k < len(weeks[rows[i]].area):
                weeks[rows[i]].area[k], weeks[rows[i]].days[k] = entry // 8, weeks[rows[i]].days[k] | bit
