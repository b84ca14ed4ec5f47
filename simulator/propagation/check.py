"""The contract of a propagation model, a stranger's too: arrays of the right shape that make sense."""

import numpy as np

from probe.base.config import Settings
from probe.base.plane import LocalFrame
from simulator.kernels import radio as kernels
from simulator.layouts.complete import complete
from simulator.layouts.hexagonal import Hexagonal
from simulator.propagation.propagation import Propagation


def broken(settings: Settings) -> list[str]:
    """Return the promises that a propagation model breaks, in words; none is good."""
    plan, _ = complete(Hexagonal(rings=1).build(), LocalFrame(51.0, 10.0))
    made, again = settings.build(plan), settings.build(plan)  # type: ignore[attr-defined]
    if not isinstance(made, Propagation):
        return [f"build(plan) returns a {type(made).__name__}, not a Propagation"]
    shapes = ((len(plan), 3), (3,), (kernels.SIGHT_STEPS,), (2,), (), (kernels.FIELD_PIXELS**2,))
    found = [
        f"{name} has shape {np.shape(array)}, {shape} of finite numbers is needed"
        for (name, array), shape in zip(vars(made).items(), shapes, strict=True)
        if np.shape(array) != shape or not np.isfinite(array).all()
    ]
    if found:
        return found
    if any(not np.array_equal(array, vars(again)[name]) for name, array in vars(made).items()):
        found.append("build(plan) returns the same arrays every time")
    lines = made.loss_db[:, :, None] + made.slope[:, None] * np.linspace(1, 4, 301)  # 10 m to 10 km
    if any((np.diff(loss, axis=-1) < -1e-9).any() for loss in (lines[:, :2].max(axis=1), lines.max(axis=1))):
        found.append("loss does not fall with distance, in line of sight or out of it")
    if (made.sight < 0).any() or (made.sight > 1).any():
        found.append("sight is a probability")
    if (made.sigma_db < 0).any() or not 0 <= made.site_correlation <= 1:
        found.append("sigma_db is not negative, site_correlation lies between 0 and 1")
    return found
