"""FIX: where one observation was, as far as anyone behind the probe needs to know."""

import numpy as np

AREAS_MAX, UNITS, NO_AREA = 6, 64, 0xFFFF  # UNITS: the weights of a located observation add up to this
NONE, CELL, TA, TA_LEVELS, LEVELS = range(5)  # content: what the fix was made from
CONTENT = ("none", "cell", "ta", "ta_levels", "levels")

FIX = np.dtype([
    ("x_m", "<f4"), ("y_m", "<f4"),  # the point, metres in the frame of the areas
    ("r50_m", "<f4"),  # the radius about the point that holds half of the posterior
    ("area", "<u2", (AREAS_MAX,)),  # rows of the area set, by falling weight; NO_AREA where unused
    ("weight", "u1", (AREAS_MAX,)),  # units; they add up to UNITS, or to 0 where there is no fix
    ("content", "u1"),  # row of CONTENT
])
