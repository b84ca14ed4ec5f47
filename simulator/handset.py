"""ONE handset as a readable SimPy process: the reference for cohort.py, and a place for own behaviour.

What the radio sounds like, how long traffic lasts and how far a mast is come from the same
kernels that a cohort uses, on one row; what is done when, and what is said, is written here again.
Times are ms since the start of the world.
"""

from collections.abc import Callable

import numpy as np
import simpy

from probe.wire.events import Kind
from simulator.cohort import LOOK_TYPES, Bench, Place, rows_of
from simulator.kernels import looks, move, procedures, timeline as tl
from simulator.kernels.timeline import FRESH, LOST, NEVER, NO_CELL, PERIODIC_MS


class Handset:
    """A handset of our network and the person who carries it."""

    def __init__(self, env: simpy.Environment, place: Place, subscriber: int, person: int, hear: Callable):
        """hear(event EVENT[1]) is called for whatever is said, when it is decided upon."""
        self.env, self.place, self.law, self.hear = env, place, place.law, hear
        mine, self.bench = np.zeros(1, tl.HANDSET), Bench()
        mine["subscriber"], mine["person"] = subscriber, person
        tl.begin(mine, self.law, place.tables, place.country, self.bench.legs)
        self.me, self.link = mine.view(np.recarray)[0], self.bench.link.view(np.recarray)[0]
        self.now, self.failure = 0, 0  # the next outage of a base station, anywhere
        self.release_ms, self.begun_ms, self.looked_ms, self.opened = NEVER, 0, 0, False  # of a connection
        env.process(self.live())

    def live(self):
        """Do what comes first, and then what comes next, as long as the world lasts."""
        me, noticed_ms = self.me, self.place.failures.time_ms + tl.notices_ms(self.law, self.me.person)
        while True:
            self.talks = self.release_ms < NEVER  # traffic: from its first byte to the inactivity timer after its last
            look_ms = self.looked_ms + tl.connected_every_ms(me) if self.talks else tl.idle_look_ms(me)
            instants = (  # in this order where two fall together
                (self.release_ms, self.hang_up), (me.end_ms, self.next_leg), (me.switch_ms, self.switch),
                (noticed_ms[self.failure], self.miss_station), (me.burst_ms, self.talk), (look_ms, self.look_around),
                (NEVER if self.talks else me.due_ms, lambda: self.contact(Kind.TAU_PERIODIC)))
            time_ms, deed = min(instants, key=lambda instant: instant[0])
            yield self.env.timeout(int(time_ms) - self.now)
            self.now = int(time_ms)
            deed()

    # --- what happens ---

    def next_leg(self):
        """Set out or arrive; look at the radio on arrival."""
        moved, self.looked_ms = self.me.mode != move.STAY, self.now
        tl.take_leg(self.me, self.now, self.law, self.place.tables, self.place.country, self.bench.legs)
        if moved and self.me.on:
            self.look()

    def look_around(self):
        """Look at the radio on the way."""
        self.looked_ms, self.me.look = self.now, self.me.look + (not self.talks)
        self.look()

    def miss_station(self):
        """Notice that a base station failed: look for another cell if it was ours."""
        site, self.failure = self.place.failures.site[self.failure], self.failure + 1
        if self.me.on and looks.on_site(self.me, self.place.net, site):
            self.look()

    def switch(self):
        """Be switched off for the night, or on again."""
        me, now = self.me, self.now
        me.on, me.tac, me.switch_ms = 1 - me.on, FRESH, tl.next_switch(self.law, self.place.tables, me.person, now)[0]
        tl.pass_looks(me, now)
        self.contact(Kind.ATTACH if me.on else Kind.DETACH)
        if not me.on:
            me.cell, me.due_ms = NO_CELL, NEVER

    def talk(self):
        """If there is traffic, connect for it; what begins before the release of a connection rides on it."""
        me, now = self.me, self.now
        wanted, until_ms = tl.takes_place(self.law, me), min(tl.burst_end(self.law, me), me.switch_ms)
        me.burst_ms = tl.next_burst(self.law, self.place.tables, me, now)
        if wanted and self.talks:
            self.release_ms = max(self.release_ms, min(until_ms, self.begun_ms + tl.CONNECTION_MS_MAX))
        elif wanted:
            self.release_ms, self.begun_ms, self.looked_ms = until_ms, now, now
            me.carrier = tl.carrier_at(self.law, me.person, now)
            self.link.refuses = tl.refuses(self.law, me.person, now)
            self.contact((Kind.SERVICE_REQUEST, Kind.PAGING_RESPONSE)[tl.is_paged(self.law, me.person, now)])
            self.opened = self.link.connected = me.cell != NO_CELL
            self.link.count, self.link.opened_ms, self.link.report_ms = 0, now, now + procedures.REPORT_EVERY_MS
            procedures.smooth(self.link, now)

    def hang_up(self):
        """Be idle again."""
        now, self.release_ms = self.now, NEVER
        if self.link.connected:
            self.report_before(now)
            self.say(Kind.RELEASE, now)
            self.link.connected = 0
        elif not self.opened:
            self.me.due_ms = now + PERIODIC_MS
        self.link.refuses = 0
        tl.pass_looks(self.me, now)

    # --- what is done about it ---

    def look(self):
        """Look at the radio: camp on what sounds best, or measure while connected."""
        if not self.talks:
            self.camp(procedures.choose(self.me.cell, self.listen()), self.now)
        elif self.link.connected:
            self.measure()

    def camp(self, cell, time_ms: int):
        """Camp on a cell, or none; a new tracking area, or the first after a gap, hears of it."""
        before, self.me.cell, self.me.tac = self.me.tac, cell, LOST if cell == NO_CELL else self.place.net[cell]["tac"]
        if self.me.tac not in (LOST, before) and before != FRESH:
            self.say(Kind.TAU, time_ms)

    def contact(self, kind: Kind):
        """Camp on what sounds best and say something there; without a cell, try again when the timer ends."""
        now = self.now
        self.camp(procedures.choose(self.me.cell, self.listen()), now)
        if self.me.cell == NO_CELL:
            self.me.due_ms = now + PERIODIC_MS
        elif kind != Kind.TAU_PERIODIC or self.me.due_ms == now:
            self.say(kind, now)

    def measure(self):
        """Report a better neighbour and be handed over to it; find another cell when the link is lost."""
        now, me, link = self.now, self.me, self.link
        self.report_before(now)
        procedures.smooth(self.listen(), now)
        serving = procedures.measured(link, me.cell)
        if serving < 0:
            me.cell, link.connected = link.heard[0], link.heard[0] != NO_CELL
            if link.connected:
                self.say(Kind.REESTABLISHMENT, now)
        else:
            target = procedures.a3_target(link, serving, now, self.law)
            if target == NO_CELL:
                return
            self.say(Kind.REPORT, now)
            me.cell, now = target, now + procedures.prepare_ms(self.law, me.person, now)
            self.say(Kind.HANDOVER, now)
        link.better_ms[:] = NEVER
        self.camp(me.cell, now + procedures.UPDATE_MS)

    # --- what all of it needs ---

    def listen(self):
        """Return the link after hearing what the radio says here and now, loudest first."""
        bench, link, (x, y) = self.bench, self.link, move.position(self.me, self.now)
        walls_db = tl.walls_db(self.law, self.place.tables, self.me)
        asked = zip((x, y, self.law.start_ms + self.now, self.me.carrier, walls_db), LOOK_TYPES[3:], strict=True)
        self.place.radio.measure(*(np.array([one], kind) for one, kind in asked), bench.cell[:1], bench.level_dbm[:1])
        link.x_m, link.y_m, link.heard[:], link.heard_dbm[:] = x, y, bench.cell[0], bench.level_dbm[0]
        return link

    def say(self, kind: Kind, time_ms: int):
        """Say something, later than the last word; the periodic update waits anew."""
        time_ms = time_ms if self.me.due_ms == NEVER else max(int(time_ms), int(self.me.due_ms) - PERIODIC_MS + 1)
        self.me.due_ms = time_ms + PERIODIC_MS
        if kind != Kind.REPORT or self.law.grade != procedures.CORE:
            self.write(kind, time_ms)

    def report_before(self, time_ms: int):
        """Send the periodic reports of grade mdt that come before time_ms."""
        while self.link.report_ms < time_ms:
            at = max(int(self.link.report_ms), int(self.me.due_ms) - PERIODIC_MS + 1)
            if self.law.grade == procedures.MDT and at < time_ms:
                self.write(Kind.REPORT, at)
            self.link.report_ms += procedures.REPORT_EVERY_MS

    def write(self, kind: Kind, time_ms: int):
        """Write what was said."""
        out = rows_of(1)
        procedures.write(out, 0, self.me, self.link, int(kind), int(time_ms), self.me.cell, self.law, self.place.net)
        self.hear(out.events)
