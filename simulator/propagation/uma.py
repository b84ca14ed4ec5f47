"""Urban macro: 3GPP TR 38.901 V17.0.0, tables 7.4.1-1 (loss), 7.4.2-1 (sight), 7.5-6 (correlation)."""

from typing import Annotated

import numpy as np
from pydantic import Field

from probe.base.config import Settings
from probe.wire.cells import Plan
from simulator.propagation.propagation import SIGHT_M, Propagation, packed_field

LIGHT_M_S, HANDSET_M, ENVIRONMENT_M = 3.0e8, 1.5, 1.0  # as the TR says; effective height of the surroundings
CORRELATION_M = (37.0, 50.0, 50.0)  # table 7.5-6: shadow in and out of line of sight, line of sight


class Uma(Settings):
    """How loud a macro cell is in a city.

    Source of the defaults: TR 38.901 tables 7.4.1-1 and 7.5-6; independent sites.
    """

    shadow_los_db: Annotated[float, Field(ge=0, le=20)] = 4.0
    shadow_nlos_db: Annotated[float, Field(ge=0, le=20)] = 6.0
    site_correlation: Annotated[float, Field(ge=0, le=1)] = 0.0

    def build(self, plan: Plan) -> Propagation:
        """Return the loss of every cell of the plan."""
        return Propagation(loss_db(plan["frequency_mhz"] / 1_000, plan["height_m"]), np.array([22.0, 40.0, 39.08]),
                           sight_probability(SIGHT_M), np.array([self.shadow_los_db, self.shadow_nlos_db]),
                           self.site_correlation, packed_field(CORRELATION_M))


def loss_db(ghz: np.ndarray, height_m: np.ndarray) -> np.ndarray:
    """Return f8[cells, 3]: PL1, PL2 and NLOS of table 7.4.1-1 at d3D = 1 m, for a handset at 1.5 m."""
    break_m = 4 * (height_m - ENVIRONMENT_M) * (HANDSET_M - ENVIRONMENT_M) * ghz * 1e9 / LIGHT_M_S
    near = 28.0 + 20 * np.log10(ghz)
    far = near - 9 * np.log10(break_m**2 + (height_m - HANDSET_M) ** 2)
    return np.stack([near, far, 13.54 + 20 * np.log10(ghz)], axis=1)


def sight_probability(along_m: np.ndarray) -> np.ndarray:
    """Return the probability of line of sight by d2D, table 7.4.2-1, for handsets below 13 m."""
    share = np.minimum(18 / along_m, 1.0)
    return share + np.exp(-along_m / 63) * (1 - share)
