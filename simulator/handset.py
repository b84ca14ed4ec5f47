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
from simulator.kernels import looks, procedures, timeline
from simulator.kernels.move import STAY, position
from simulator.kernels.radio import HEARD, NO_CELL
from simulator.kernels.timeline import FRESH, HANDSET, LOST, NEVER, PERIODIC_MS

ASKED = LOOK_TYPES[4:]  # what the radio is asked, as a cohort asks it


class Handset:
    """A handset of our network and the person who carries it."""

    def __init__(self, env: simpy.Environment, place: Place, subscriber: int, person: int, hear: Callable):
        """hear(event EVENT[1]) is called for whatever is said, when it is decided upon."""
        self.env, self.place, self.law, self.hear = env, place, place.law, hear
        self.me = np.zeros(1, HANDSET).view(np.recarray)[0]
        self.me.subscriber, self.me.person = subscriber, person
        bench = Bench()
        self.legs, self.link = bench.legs, bench.link.view(np.recarray)[0]
        timeline.begin(self.me, self.law, place.tables, place.country, self.legs)
        self.delay_ms = timeline.notices_ms(self.law, person)
        self.failure = 0  # the next outage of a base station, anywhere
        env.process(self.live())

    def live(self):
        """Do what comes first, and then what comes next, as long as the world lasts."""
        while True:
            instants = (  # in this order where two fall together
                (self.me.end_ms, self.next_leg),
                (self.me.switch_ms, self.switch),
                (self.failure_ms(), self.miss_station),
                (self.me.burst_ms, self.talk),
                (timeline.idle_look_ms(self.me), self.look_around),
                (self.me.due_ms, self.periodic_update),
            )
            time_ms, deed = min(instants, key=lambda instant: instant[0])
            yield self.env.timeout(int(time_ms) - self.now)
            yield from deed() or ()

    # --- idle ---

    def next_leg(self):
        """Set out or arrive; look at the radio on arrival."""
        moved = self.me.mode != STAY
        timeline.take_leg(self.me, self.now, self.law, self.place.tables, self.place.country, self.legs)
        if moved and self.me.on:
            self.reselect()

    def look_around(self):
        """Look at the radio on the way."""
        self.me.look += 1
        self.reselect()

    def reselect(self):
        """Camp on what sounds best."""
        self.camp(procedures.choose(self.me.cell, self.listen()), self.now)

    def camp(self, cell, time_ms: int):
        """Camp on a cell, or none; a new tracking area, or the first after a gap, hears of it."""
        before, self.me.cell = self.me.tac, cell
        self.me.tac = LOST if cell == NO_CELL else self.place.net[cell]["tac"]
        if self.me.tac not in (LOST, before) and before != FRESH:
            self.say(Kind.TAU, time_ms)

    def miss_station(self):
        """Notice that a base station failed: look for another cell if it was ours."""
        ours = self.me.on and looks.on_site(self.me, self.place.net, self.place.failures.site[self.failure])
        self.failure += 1
        if ours:
            self.reselect()

    def periodic_update(self):
        """Tell the network that we are still there."""
        now = self.now
        self.reselect()
        if self.me.cell == NO_CELL:
            self.me.due_ms = now + PERIODIC_MS
        elif self.me.due_ms == now:
            self.say(Kind.TAU_PERIODIC, now)

    def switch(self):
        """Be switched off for the night, or on again."""
        now, self.me.on = self.now, 1 - self.me.on
        self.me.switch_ms = timeline.next_switch(self.law, self.place.tables, self.me.person, now)
        timeline.pass_looks(self.me, now)
        self.me.cell = procedures.choose(self.me.cell, self.listen())
        if self.me.cell != NO_CELL:
            self.say(Kind.ATTACH if self.me.on else Kind.DETACH, now)
        if not self.me.on:
            self.me.cell, self.me.tac, self.me.due_ms = NO_CELL, LOST, NEVER
        elif self.me.cell == NO_CELL:
            self.me.due_ms = now + PERIODIC_MS
        else:
            self.me.tac = self.place.net[self.me.cell]["tac"]

    # --- connected ---

    def talk(self):
        """If there is traffic, be connected from its first byte until the inactivity timer after its last."""
        me, begins = self.me, self.now
        wanted, release = timeline.takes_place(self.law, me), timeline.burst_end(self.law, me)
        me.burst_ms = timeline.next_burst(self.law, self.place.tables, me, begins)
        if not wanted:
            return
        me.carrier = timeline.carrier_at(self.law, me.person, begins)
        release, looked = min(release, me.switch_ms), begins
        opened = self.connect()
        while True:
            look = looked + timeline.connected_every_ms(me)
            now = int(min(me.end_ms, self.failure_ms(), me.burst_ms, look))
            if now >= release:
                break
            yield self.env.timeout(now - self.now)
            if now == me.end_ms:
                moved, looked = me.mode != STAY, now
                timeline.take_leg(me, now, self.law, self.place.tables, self.place.country, self.legs)
                if moved:
                    self.measure()
            elif now == self.failure_ms():
                if looks.on_site(me, self.place.net, self.place.failures.site[self.failure]):
                    self.measure()
                self.failure += 1
            elif now == me.burst_ms:
                if timeline.takes_place(self.law, me):
                    longest = min(begins + timeline.CONNECTION_MS_MAX, me.switch_ms)
                    release = max(release, min(timeline.burst_end(self.law, me), longest))
                me.burst_ms = timeline.next_burst(self.law, self.place.tables, me, now)
            else:
                looked = now
                self.measure()
        yield self.env.timeout(int(release) - self.now)
        self.hang_up(opened)

    def connect(self) -> bool:
        """Ask for a connection, or answer a page; return whether there is one."""
        now, link = self.now, self.listen()
        self.camp(procedures.choose(self.me.cell, link), now)
        if self.me.cell == NO_CELL:
            return False
        paged = timeline.is_paged(self.law, self.me.person, now)
        self.say(Kind.PAGING_RESPONSE if paged else Kind.SERVICE_REQUEST, now)
        link.connected, link.count, link.opened_ms = 1, 0, now
        link.report_ms = now + procedures.REPORT_EVERY_MS
        procedures.smooth(link, now)
        return True

    def measure(self):
        """Report a better neighbour and be handed over to it; find another cell when the link is lost."""
        if not self.link.connected:
            return
        now, me, link = self.now, self.me, self.link
        self.report_before(now)
        procedures.smooth(self.listen(), now)
        serving = procedures.measured(link, me.cell)
        if serving < 0 and link.heard[0] == NO_CELL:
            link.connected = 0
            self.camp(NO_CELL, now)
            return
        if serving < 0:
            me.cell = link.heard[0]
            self.say(Kind.REESTABLISHMENT, now)
        else:
            target = procedures.a3_target(link, serving, now, self.law)
            if target == NO_CELL:
                return
            self.say(Kind.REPORT, now)
            now += procedures.prepare_ms(self.law, me.person, now)
            me.cell = target
            self.say(Kind.HANDOVER, now)
        link.better_ms[:] = NEVER
        self.camp(me.cell, now + procedures.UPDATE_MS)

    def hang_up(self, opened: bool):
        """Be idle again."""
        now = self.now
        if self.link.connected:
            self.report_before(now)
            self.say(Kind.RELEASE, now)
            self.link.connected = 0
        elif not opened:
            self.me.due_ms = now + PERIODIC_MS
        timeline.pass_looks(self.me, now)

    # --- what all of it needs ---

    def listen(self):
        """Return the link after hearing what the radio says here and now, loudest first."""
        x, y = position(self.me, self.now)
        cell, level_dbm = np.empty((1, HEARD), "u4"), np.empty((1, HEARD), "f4")
        walls_db = timeline.walls_db(self.law, self.place.tables, self.me)
        asked = zip((x, y, self.law.start_ms + self.now, self.me.carrier, walls_db), ASKED, strict=True)
        self.place.radio.measure(*(np.array([one], kind) for one, kind in asked), cell, level_dbm)
        self.link.x_m, self.link.y_m, self.link.heard[:], self.link.heard_dbm[:] = x, y, cell[0], level_dbm[0]
        return self.link

    def say(self, kind: Kind, time_ms: int):
        """Say something, later than the last word; the periodic update waits anew."""
        if self.me.due_ms != NEVER:
            time_ms = max(int(time_ms), int(self.me.due_ms) - PERIODIC_MS + 1)
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
        out = rows_of(1)
        procedures.write(out, 0, self.me, self.link, int(kind), int(time_ms), self.me.cell, self.law, self.place.net)
        self.hear(out.events)

    @property
    def now(self) -> int:
        """Return the time."""
        return int(self.env.now)

    def failure_ms(self) -> int:
        """Return when we would notice the next failure of a base station."""
        return looks.failure_ms(self.place.failures, self.failure, self.delay_ms)
