"""When handsets talk: as often as the settings say, as a pure function of who and when."""

import numpy as np
import pytest

from probe.base.config import ConfigError, parse
from simulator.kernels import timeline
from simulator.kernels.move import STAY
from simulator.kernels.timeline import HANDSET, NEVER
from simulator.traffic import ACTIVITY, BY_HOUR, TrafficSettings, law_of

START_MS, DAY_MS = 1_778_536_800_000, 86_400_000  # 2026-05-12, Berlin
PERSONS = 400


def world_of(days=1, **settings):
    wall_db = np.zeros(2, "f4")
    return law_of(TrafficSettings(**settings), 1, START_MS, START_MS + days * DAY_MS, "Europe/Berlin", wall_db, "trace")


def bursts(law, tables, person, mode):
    """Return the times of traffic of a person who spends the day in one leg."""
    me = np.zeros(1, HANDSET).view(np.recarray)[0]
    me.person, me.mode, me.on, me.end_ms = person, mode, 1, DAY_MS
    found, me.burst_ms = [], timeline.next_burst(law, tables, me, -1)
    while me.burst_ms < DAY_MS:
        if timeline.takes_place(law, me):
            found.append(int(me.burst_ms))
        me.burst_ms = timeline.next_burst(law, tables, me, int(me.burst_ms))
    return found


@pytest.mark.parametrize("mode, factor", [(STAY, 1.0), (STAY + 1, 3.0)])
def test_people_talk_as_often_as_the_settings_say(mode, factor):
    law, tables = world_of(sessions_per_day=40.0)
    times = [bursts(law, tables, person, mode) for person in range(PERSONS)]
    wanted = 40.0 * factor * np.dot(ACTIVITY, [0.3, 0.5, 0.2])
    assert np.mean([len(mine) for mine in times]) == pytest.approx(wanted, rel=0.08)  # 4 standard errors
    hour = np.bincount(np.concatenate(times).astype(int) // 3_600_000, minlength=24)
    assert np.allclose(hour / hour.sum(), np.array(BY_HOUR) / sum(BY_HOUR), atol=0.01)


def test_a_stay_passes_over_what_it_would_drop_and_nothing_else():
    law, tables = world_of()
    for person in range(40):
        on_trip, at_rest = bursts(law, tables, person, STAY + 1), bursts(law, tables, person, STAY)
        assert at_rest == [time_ms for time_ms in on_trip if timeline.is_kept(law, person, time_ms)]


def test_nights_off_are_nights_and_come_again():
    law, tables = world_of(days=6, switch_off_share=1.0)
    for person in range(50):
        switch_ms, then_on = timeline.next_switch(law, tables, person, -1)
        on = not then_on
        while switch_ms < NEVER:
            hour = switch_ms / 3_600_000 % 24
            assert (hour >= 22 or hour <= 0.5) if on else 5.5 <= hour <= 7.5
            on = not on
            assert then_on == on
            switch_ms, then_on = timeline.next_switch(law, tables, person, switch_ms)


def test_every_mistake_in_the_settings_is_named():
    with pytest.raises(ConfigError) as error:
        parse(TrafficSettings, "[traffic]", {"session_per_day": 3, "time_to_trigger_ms": 100.5, "inactivity_s": 0})
    text = str(error.value)
    assert 'did you mean "sessions_per_day"?' in text and "time_to_trigger_ms" in text and "inactivity_s" in text
