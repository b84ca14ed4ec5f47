"""FIX: where one observation was, as far as anyone behind the probe needs to know.

x_m, y_m : the point, metres in the frame of the areas
r50_m    : the radius about the point that holds half of the posterior
area     : rows of the area set, by falling weight; NO_AREA where unused
weight   : units; they add up to UNITS, or to 0 where there is no fix
content  : row of CONTENT, what the fix was made from
"""

import numpy as np

AREAS_MAX, UNITS, NO_AREA = 6, 64, 0xFFFF
NONE, CELL, TA, TA_LEVELS, LEVELS = range(5)
CONTENT = ("none", "cell", "ta", "ta_levels", "levels")
FIX = np.dtype([("x_m", "<f4"), ("y_m", "<f4"), ("r50_m", "<f4"), ("area", "<u2", (AREAS_MAX,)),
                ("weight", "u1", (AREAS_MAX,)), ("content", "u1")])
