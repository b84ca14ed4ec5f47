"""Presence as person-time: who was where for how long, in whole numbers, constant work for each event.

A person holds 64 units, spread over at most six areas, from one observation to the next.
Entering an area at t (ms since the slot began) takes t times the units from its sum and adds
the units to its occupancy; leaving does the reverse.  At the end of the slot the tally is
sum + occupancy * length: nobody is looked at who did not move.

One row a person, found by pseudonym:
persons : PERSON[r]  where they are, and the next row in the same bucket of the wheel
table   : u8[2^k]    open addressing: upper half of the pseudonym, and row + 1; 0 = empty
wheel   : i4[b]      first row of the bucket of a slot (slot mod b): who may fall silent in it
"""

import numpy as np

from probe.base.jit import kernel

AREAS_MAX, CELL_ONLY, DETACH, END = 6, 1, 2, -1
PERSON = np.dtype([
    ("pseudonym", "<u8"), ("last_ms", "<i8"), ("cell", "<u4"), ("area", "<u2", AREAS_MAX), ("weight", "u1", AREAS_MAX),
    ("present", "u1"), ("hung", "u1"), ("link", "<i4")], align=True)  # hung in a bucket of the wheel, before row `link`
U8, LOWER, UPPER = np.uint64, np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFF00000000)


@kernel
def find_rows(named, table, persons, used):
    """Return (i4[n], used): the row of each pseudonym, and how many rows are used when who is new has one.

    named : OBSERVATION[n], or PERSON[n] to enter rows that were in a smaller table; there is room for n more
    """
    rows, mask = np.empty(len(named), np.int32), U8(len(table) - 1)
    for i in range(len(rows)):
        pseudonym, at = named[i].pseudonym, named[i].pseudonym & mask
        while table[at] != U8(0) and ((table[at] ^ pseudonym) & UPPER != U8(0) or
                                      persons[np.int64(table[at] & LOWER) - 1].pseudonym != pseudonym):
            at = (at + U8(1)) & mask
        if table[at] == U8(0):
            persons[used].pseudonym, used = pseudonym, used + 1
            table[at] = (pseudonym & UPPER) | U8(used)
        rows[i] = np.int64(table[at] & LOWER) - 1
    return rows, used


@kernel
def sound(fixes, area_count, units):
    """Return bool[n]: which fixes spread just `units` over areas that exist; the bound of a table rests on it."""
    found = np.empty(len(fixes), np.bool_)
    for i in range(len(fixes)):
        total, k = 0, 0
        while k < AREAS_MAX and fixes[i].weight[k] > 0 and fixes[i].area[k] < area_count:
            total, k = total + fixes[i].weight[k], k + 1
        found[i] = total == units and (k == AREAS_MAX or fixes[i].weight[k] == 0)
    return found


@kernel
def move(observations, fixes, rows, clock, persons, wheel, sums, occupancy):
    """Count observations of one slot, in order of time.

    observations, fixes : OBSERVATION[n], FIX[n]; rows : i4[n]  of persons
    clock               : (i8, i8, i8)  begin of the slot, its length, expiry [ms]
    sums, occupancy     : i8[areas]     units x ms and units
    """
    begin_ms, length_ms, expiry_ms = clock
    for i in range(len(rows)):
        row, time_ms, cell = rows[i], observations[i].time_ms, observations[i].cell
        person, gone = persons[row], observations[i].kind == DETACH
        expires_ms, person.last_ms = person.last_ms + expiry_ms, time_ms
        no_news = fixes[i].content == CELL_ONLY and person.cell == cell and expires_ms > time_ms and not gone
        if person.present and not no_news:
            shift(person, -1, min(expires_ms, time_ms) - begin_ms, sums, occupancy)
        if person.present or gone:
            continue  # the better fix in this cell still holds
        person.cell = cell
        for k in range(AREAS_MAX):
            person.area[k], person.weight[k] = fixes[i].area[k], fixes[i].weight[k]
        shift(person, 1, time_ms - begin_ms, sums, occupancy)
        if not person.hung:
            hang(row, (time_ms + expiry_ms) // length_ms, persons, wheel)


@kernel
def shift(person, sign, at_ms, sums, occupancy):
    """Let a person hold their units (sign 1), or nothing any more (-1), from at_ms after the slot began."""
    person.present = sign > 0
    for k in range(AREAS_MAX):
        if person.weight[k] == 0:
            break
        area, units = person.area[k], sign * np.int64(person.weight[k])
        sums[area], occupancy[area] = sums[area] - units * at_ms, occupancy[area] + units


@kernel
def hang(row, slot, persons, wheel):
    """Put a row into the bucket of a slot."""
    bucket = slot % len(wheel)
    persons[row].hung, persons[row].link, wheel[bucket] = 1, wheel[bucket], row


@kernel
def expire(clock, persons, wheel, sums, occupancy):
    """End who fell silent in the slot that ends.

    A row hangs in one bucket only, and is looked at when that slot ends: who has spoken
    since moves on to the bucket of the new expiry.  The instant counted is exact all the same.
    """
    begin_ms, length_ms, expiry_ms = clock
    bucket = begin_ms // length_ms % len(wheel)
    row, wheel[bucket] = wheel[bucket], END
    while row != END:
        this, person = row, persons[row]
        row, person.hung, expires_ms = person.link, 0, person.last_ms + expiry_ms
        if person.present and expires_ms >= begin_ms + length_ms:
            hang(this, expires_ms // length_ms, persons, wheel)
        elif person.present:
            shift(person, -1, expires_ms - begin_ms, sums, occupancy)
