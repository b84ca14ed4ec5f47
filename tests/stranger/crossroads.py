"""A tower layout from another distribution: masts along two crossing roads."""

import numpy as np

from probe.base.config import Settings
from simulator.layouts.layout import Layout


class Crossroads(Settings):
    """One mast every `spacing_m` along two crossing roads, two cells each."""

    spacing_m: float = 600.0
    reach: int = 4

    def build(self) -> Layout:
        steps = np.arange(-self.reach, self.reach + 1) * self.spacing_m
        x = np.concatenate([steps, np.zeros_like(steps)])
        y = np.concatenate([np.zeros_like(steps), steps + self.spacing_m / 2])
        azimuth = np.concatenate([np.tile([90.0, 270.0], len(steps)), np.tile([0.0, 180.0], len(steps))])
        return Layout(x_m=np.repeat(x, 2), y_m=np.repeat(y, 2), azimuth_deg=azimuth)
