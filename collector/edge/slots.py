"""The grid of slots: which one an instant lies in, where local days end, which are warming up."""

from typing import Annotated

from pydantic import Field

from probe.base import clock, config

STOP_S = 600  # who stays so long has stopped; a table of steps waits one slot for what may be taken back until then
DIVIDES_AN_HOUR = config.needs(lambda slot_s: slot_s >= STOP_S and 3_600 % slot_s == 0,
                               f"does not divide an hour, or is shorter than a stop ({STOP_S} s); use 900, 1800 or "
                               "3600, so that hours are exact sums")
# T3412 of 54 minutes: who sits still speaks so often.
OUTLIVES_THE_UPDATE = config.needs(
    lambda expiry_s: expiry_s > 3_240,
    "ends before the periodic update (3240 s); use 3600, so that who sits still is not lost")


class SlotSettings(config.Settings):
    """When a slot of counts is closed, and how long a silent person stays counted."""

    slot_s: Annotated[int, DIVIDES_AN_HOUR] = 900
    lateness_s: Annotated[int, Field(ge=0, le=900)] = 60
    expiry_s: Annotated[int, Field(le=86_400), OUTLIVES_THE_UPDATE] = 3_600
    zone: str = "Europe/Berlin"


class Slots:
    """The slots of one edge that starts at start_ms.  Slot number = UTC time / slot length."""

    def __init__(self, settings: SlotSettings, start_ms: int):
        self.length_ms, self.lateness_ms = settings.slot_s * clock.SECOND_MS, settings.lateness_s * clock.SECOND_MS
        self.expiry_ms, self.start_ms, self.zone = settings.expiry_s * clock.SECOND_MS, start_ms, settings.zone
        if self._midnight_ms(start_ms) % self.length_ms:
            remedy = f"days of {settings.zone} do not begin on its grid; use 900"
            raise config.ConfigError("[slots]", [f"slot_s = {settings.slot_s}: {remedy}"])

    def of(self, time_ms: int) -> int:
        """Return the slot that an instant lies in."""
        return time_ms // self.length_ms

    def end_ms(self, slot: int) -> int:
        """Return the first instant after a slot."""
        return (slot + 1) * self.length_ms

    def ends_day(self, slot: int) -> bool:
        """Return whether a local day ends with this slot: nothing is carried beyond."""
        return self._midnight_ms(self.end_ms(slot)) == self.end_ms(slot)

    def warming(self, slot: int) -> bool:
        """Return whether the slot begins so soon after the start or a midnight that many are still unseen."""
        begin_ms = slot * self.length_ms
        return begin_ms < max(self.start_ms, self._midnight_ms(begin_ms)) + self.expiry_ms

    def _midnight_ms(self, time_ms: int) -> int:
        return clock.midnights_ms(time_ms, time_ms, self.zone)[0]
