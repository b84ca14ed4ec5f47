"""The contract of a layout, a stranger's too: it builds, twice the same, and makes a whole plan."""

import numpy as np

from probe.base.config import ConfigError, Settings
from probe.base.plane import LocalFrame
from probe.wire import cells
from simulator.layouts.complete import complete
from simulator.layouts.layout import Layout

MIDDLE = LocalFrame(51.0, 10.0)  # of the areas, where the layout does not say degrees


def broken(settings: Settings) -> list[str]:
    """Return the promises that a layout breaks, in words; none is good."""
    if not settings.model_config.get("frozen"):
        return ["settings are frozen: derive them from probe.base.config.Settings"]
    layout = settings.build()  # type: ignore[attr-defined]
    if not isinstance(layout, Layout):
        return [f"build() returns a {type(layout).__name__}, not a simulator.layouts.layout.Layout"]
    try:
        plan, _ = complete(layout, frame_of(layout))
        again, _ = complete(settings.build(), frame_of(layout))  # type: ignore[attr-defined]
    except ConfigError as error:
        return error.problems
    found = []
    if cells.to_csv(again) != cells.to_csv(plan):
        found.append("build() returns the same layout every time: no clock, no generator of its own")
    if cells.from_csv(cells.to_csv(plan), "plan").digest() != plan.digest():
        found.append("the plan reads back from its file as it was written")
    if not plan.serving().any():
        found.append("at least one cell serves: LTE, and not band 32 (1500 MHz), which has no uplink")
    return found


def frame_of(layout: Layout) -> LocalFrame:
    """Return a frame about the middle of a layout."""
    known = layout.known()
    if not len(layout) or "latitude" not in known or "longitude" not in known:
        return MIDDLE
    return LocalFrame(float(np.median(known["latitude"])), float(np.median(known["longitude"])))
