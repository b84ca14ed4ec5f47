"""The contract of a layout, a stranger's too: it builds, twice the same, and makes a whole plan."""

import numpy as np

from probe.base import config, plane, plugins
from simulator.layouts.complete import complete
from simulator.layouts.layout import Layout


def broken(settings: config.Settings) -> list[str]:
    """Return the promises that a layout breaks, in words; none is good."""
    layout, again = plugins.build(settings), plugins.build(settings)
    try:
        plan, twin = (complete(made, frame_of(layout))[0] for made in (layout, again))
    except config.ConfigError as error:
        return error.problems
    promises = {
        "build() returns the same layout every time: no clock, no generator of its own": plan.digest() == twin.digest(),
        "at least one cell serves: LTE, and not band 32 (1500 MHz), which has no uplink": plan.serving().any()}
    return [promise for promise, kept in promises.items() if not kept]


def frame_of(layout: Layout) -> plane.LocalFrame:
    """Return a frame about the middle of a layout; of one in metres any will do."""
    degrees = [getattr(layout, "columns", {}).get(name, ()) for name in ("latitude", "longitude")]
    middle = (float(np.median(np.asarray(column))) for column in degrees)
    return plane.LocalFrame(*middle) if all(map(len, degrees)) else plane.LocalFrame(51.0, 10.0)
