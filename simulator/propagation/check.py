"""The contract of a propagation model, a stranger's too: arrays of the right shape that make sense."""

import numpy as np

from probe.base.config import Settings
from probe.base.plane import LocalFrame
from probe.wire.cells import Plan
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
    shapes = shape_problems(made, plan)
    if shapes:
        return shapes
    found = []
    if any(not np.array_equal(getattr(made, name), getattr(again, name)) for name in vars(made)):
        found.append("build(plan) returns the same arrays every time")
    if (np.diff(losses_db(made), axis=1) < -1e-9).any():
        found.append("loss does not fall with distance, from 10 m to 10 km")
    if (made.sight < 0).any() or (made.sight > 1).any():
        found.append("sight is a probability")
    if (made.sigma_db < 0).any() or not 0 <= made.site_correlation <= 1:
        found.append("sigma_db is not negative, site_correlation lies between 0 and 1")
    return found


def shape_problems(made: Propagation, plan: Plan) -> list[str]:
    """Return which arrays have another shape than promised, or hold NaN or infinity."""
    wanted = {
        "loss_db": (len(plan), 3),
        "slope": (3,),
        "sight": (kernels.SIGHT_STEPS,),
        "sigma_db": (2,),
        "field": (kernels.FIELD_PIXELS**2,),
    }
    found = []
    for name, shape in wanted.items():
        array = np.asarray(getattr(made, name))
        if array.shape != shape or not np.isfinite(array).all():
            found.append(f"{name} has shape {array.shape}, {shape} of finite numbers is needed")
    return found


def losses_db(made: Propagation) -> np.ndarray:
    """Return f8[2 cells, distances]: loss in and out of line of sight, 10 m to 10 km."""
    lg = np.linspace(1, 4, 301)
    near, far, nlos = (made.loss_db[:, [line]] + made.slope[line] * lg for line in range(3))
    los = np.maximum(near, far)
    return np.concatenate([los, np.maximum(los, nlos)])
