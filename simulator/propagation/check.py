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
    if wrong := [f"{name} has shape {np.shape(array)}, {shape} of finite numbers is needed"
                 for name, array, shape in zip(made._fields, made, shapes, strict=True)
                 if np.shape(array) != shape or not np.isfinite(array).all()]:
        return wrong
    lines = made.loss_db[:, :, None] + made.slope[:, None] * np.linspace(1, 4, 301)  # 10 m to 10 km
    losses = lines[:, :2].max(axis=1), lines.max(axis=1)
    promises = {
        "build(plan) returns the same arrays every time": all(map(np.array_equal, made, again)),
        "loss does not fall with distance, in line of sight or out of it": (np.diff(losses, axis=-1) > -1e-9).all(),
        "sight is a probability": ((made.sight >= 0) & (made.sight <= 1)).all(),
        "sigma_db is not negative, site_correlation lies between 0 and 1":
            (made.sigma_db >= 0).all() and 0 <= made.site_correlation <= 1}
    return [promise for promise, kept in promises.items() if not kept]
