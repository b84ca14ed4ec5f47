"""The contract of a layout, a stranger's too: it builds, twice the same, and makes a whole plan."""

import numpy as np

from probe.base.config import ConfigError, Settings
from probe.base.plane import LocalFrame
from simulator.layouts.complete import complete
from simulator.layouts.layout import Layout


def broken(settings: Settings) -> list[str]:
    """Return the promises that a layout breaks, in words; none is good."""
    layout, again = settings.build(), settings.build()  # type: ignore[attr-defined]
    if not isinstance(layout, Layout):
        return [f"build() returns a {type(layout).__name__}, not a simulator.layouts.layout.Layout"]
    try:
        plan, other = (complete(made, frame_of(layout))[0] for made in (layout, again))
    except ConfigError as error:
        return error.problems
    found = []
    if plan.digest() != other.digest():
        found.append("build() returns the same layout every time: no clock, no generator of its own")
    if not plan.serving().any():
        found.append("at least one cell serves: LTE, and not band 32 (1500 MHz), which has no uplink")
    return found


def frame_of(layout: Layout) -> LocalFrame:
    """Return a frame about the middle of a layout; of one in metres any will do."""
    if not {"latitude", "longitude"} <= set(layout.columns) or not len(layout):
        return LocalFrame(51.0, 10.0)
    middle = (float(np.median(np.asarray(layout.columns[name]))) for name in ("latitude", "longitude"))
    return LocalFrame(*middle)
