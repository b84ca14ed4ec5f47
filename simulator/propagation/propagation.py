"""What a propagation plugin returns: arrays that say how loud cells are, never a function.

numba does not cache a function that takes functions, so the physics of a plugin is
coefficients of one common form: three straight lines over the logarithm of the slant
range, a probability of line of sight by distance, and Gaussian fields of place.
"""

from collections import namedtuple

import numpy as np

from simulator.kernels import radio as kernels

SIGHT_M = (np.arange(kernels.SIGHT_STEPS) + 0.5) * kernels.SIGHT_STEP_M  # the d2D that the steps of `sight` stand for
PIXEL_M, FIELD_PURPOSE, FIELD_SEED = 10.0, 301, 38_901  # one field for every world; a site's place in it is not one


# Loss of every cell of a plan, in its order.
# loss_db : f8[cells, 3]   loss at d3D = 1 m of three lines: line of sight before and after the break
#                          point (the larger of the two holds), no line of sight (not below the others)
# slope   : f8[3]          their rise [dB per decade]
# sight   : f8[kernels.SIGHT_STEPS]  probability of line of sight by d2D, at the middle of each step
# sigma_db: f8[2]          shadowing in and out of line of sight
# site_correlation : float of the shadowing of different sites at one place
# field   : i4[512 * 512]  three standard normal fields, packed: shadow in and out of line of sight, sight
Propagation = namedtuple("Propagation", "loss_db slope sight sigma_db site_correlation field")


def packed_field(correlation_m: tuple[float, float, float]) -> np.ndarray:
    """Return three periodic Gaussian fields with correlation exp(-distance / correlation_m), packed.

    Filtered white noise (spectrum of the correlation by FFT), brought to mean 0 and sigma 1
    and rounded to 1/100 sigma, so that the last bit of a processor's FFT leaves no trace.
    """
    side = kernels.FIELD_PIXELS
    axis = np.minimum(np.arange(side), side - np.arange(side)) * PIXEL_M
    distance_m, packed = np.hypot(axis[:, None], axis), np.zeros(side * side, "i4")
    for part, length_m in enumerate(correlation_m):
        noise = kernels.white(FIELD_SEED, FIELD_PURPOSE + part, side * side).reshape(side, side)
        spectrum = np.maximum(np.fft.rfft2(np.exp(-distance_m / length_m)).real, 0)
        field = np.fft.irfft2(np.fft.rfft2(noise) * np.sqrt(spectrum), (side, side))
        steps = np.rint((field - field.mean()) / field.std() * kernels.STEPS_PER_SIGMA)
        packed |= (np.clip(steps, -511, 511).astype("i4").ravel() + 512) << 10 * part
    return packed
