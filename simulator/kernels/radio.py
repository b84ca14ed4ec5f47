"""How loud the cells are at a place: levels of many points at once, the same bits for one as for many.

A point looks up its tile, which lists the cells that can matter there; each is worked
out by the same branch-free formula, sixteen at a time.  Everything is f4 and IEEE
arithmetic only (own logarithm and arc cosine), so no result depends on the width of a
vector or on a system's mathematics library.

Sources: 3GPP TR 38.901 V17.0.0, tables 7.4.1-1, 7.4.2-1, 7.5-6, clause 7.4.3 (loss, line
of sight, shadowing, walls) and table 7.3-1 with TR 36.814 table A.2.1.1-2 (antenna).
"""

from math import sqrt

import numpy as np

from probe.base.jit import kernel, lanes, prange
from probe.base.streams import mix64, normal, unit

F4, I4, I8, U4, U8 = np.float32, np.int32, np.int64, np.uint32, np.uint64
CANDIDATES = 16  # cells that a tile lists for a carrier
HEARD = 8  # cells that a point hears at most
NO_CELL = np.uint32(0xFFFFFFFF)
QUIET_DBM = np.float32(-200.0)  # the level beside NO_CELL
FLOOR_DBM = np.float32(-125.0)  # nothing below is heard
NEAREST_M = np.float32(10.0)  # the models hold from here on
FIELD_PIXELS = 512  # the field is periodic: 512 x 512 pixels
STEPS_PER_SIGMA = 100.0  # of a field packed into 10 bits
HANDSET_M = np.float32(1.5)

# Columns of the cell table f4[cells + 1, 16], one cache line a cell; * = i4 bits in the same row.
X, Y, RISE, NEAR, FAR, NLOS, EAST, NORTH, TILT, WIDTH_H, WIDTH_V, SHIFT, SITE = range(13)  # * SHIFT, SITE


@kernel
def log2_of(x):
    """Return log2 of a positive f4, to 5e-6: exponent bits and a polynomial (own minimax fit)."""
    bits = F4(x).view(I4)
    exponent = I4((bits - I4(0x3F400000)) >> I4(23))
    m = I4(bits - (exponent << I4(23))).view(F4)  # 0.75 to 1.5
    p = F4(1.0593578164899102) + m * F4(-0.15277584747697132)
    p = F4(4.890397729887984) + m * (F4(-3.079187791120677) + m * p)
    p = F4(3.4628541915150493) + m * (F4(-4.737954472514074) + m * p)
    return F4(exponent) + (m - F4(1.0)) * p


@kernel
def arccos_of(c):
    """Return the arc cosine [rad] of an f4, to 2e-6 (form: Abramowitz and Stegun 4.4.45; own fit)."""
    short = F4(1.0) - abs(c)
    short = (
        short if short > F4(0.0) else F4(0.0)
    )  # tells the compiler, too, that the root is of no negative number
    a = F4(1.0) - short
    p = F4(0.019150963394460607) + a * F4(-0.004258281352953221)
    p = F4(0.08781391608686209) + a * (F4(-0.04478450782474688) + a * p)
    p = F4(1.5707950515308307) + a * (F4(-0.21450454641508496) + a * p)
    r = F4(sqrt(short)) * p
    return r if c >= F4(0.0) else F4(np.pi) - r


@kernel
def pattern_loss_db(off_rad, width_h, below_rad, tilt_rad, width_v):
    """Return what the antenna loses off its main beam [dB], f4.

    off_rad  : horizontal angle from boresight   width_h : 12 / beamwidth^2 [1/rad^2], 0 = omnidirectional
    below_rad: angle below the horizon           width_v : 12 / beamwidth^2 [1/rad^2]
    Caps: 30 dB horizontal and in all, 20 dB vertical (TR 36.814 table A.2.1.1-2).
    """
    h = width_h * off_rad * off_rad
    h = h if h < F4(30.0) else F4(30.0)
    v = width_v * (below_rad - tilt_rad) * (below_rad - tilt_rad)
    a = h + (v if v < F4(20.0) else F4(20.0))
    return a if a < F4(30.0) else F4(30.0)


@kernel
def path_level_db(log2_square, near_db, far_db, nlos_db, slope, sight):
    """Return a level by distance alone [dB], f4: in line of sight or not.

    log2_square : log2 of d3D^2 [m^2]; near_db, far_db, nlos_db: the three straight lines at d3D = 1 m;
    slope       : f4[3] their fall in dB per decade.  Beyond the break point "far" is below "near".
    """
    lg = log2_square * F4(0.15051499783199060)  # log10(2) / 2
    near, far = near_db - slope[0] * lg, far_db - slope[1] * lg
    los = near if near < far else far
    nlos = nlos_db - slope[2] * lg
    return los if sight or los < nlos else nlos


@kernel
def unpack_field(packed, part):
    """Return a packed Gaussian field in sigmas, f4: 0 shadow in, 1 out of line of sight, 2 sight."""
    return F4(I4((packed >> I4(10 * part)) & I4(1023)) - F4(512.0)) * F4(1.0 / STEPS_PER_SIGMA)


@kernel
def pixel_of(x_m, y_m, per_m):
    """Return the pixel of a place, x in the low and y in the high 16 bits, each below FIELD_PIXELS."""
    px = I4(I4(np.floor(x_m * per_m)) & I4(511))
    py = I4(I4(np.floor(y_m * per_m)) & I4(511))
    return I4(px + (py << I4(16)))


@lanes
def measure(x_m, y_m, time_ms, carrier, indoor_db, grid, candidate, cells, bits, slope, threshold,
            spread, field, outage_from_ms, outage_until_ms, key, cell, level_dbm):  # fmt: skip
    """Write the HEARD loudest cells of every point, loudest first, ties by cell number.

    x_m, y_m  : f4[n] place      time_ms : i8[n]     carrier : u1[n]      indoor_db : f4[n] walls and cars
    grid      : f4[6]            west, south, tiles per metre, columns, rows, pixels per metre
    candidate : i4[carriers * rows * columns, CANDIDATES]   rows of cells in rising order; the last row = none
    cells     : f4[cells + 1, 16] as the column names above say; bits: the same memory as i4
    slope     : f4[3]            see path_level_db
    threshold : f4[distances]    a mast 4 m * index away is in sight where its field is below
    spread    : f4[4]            sigma LOS, NLOS [dB] of a site's own shadow; the same of the shared one
    field     : i4[512 * 512]    three Gaussian fields, packed
    outage_from_ms, outage_until_ms : i8[sites + 1]
    key       : i4[n, CANDIDATES]  scratch
    cell      : u4[n, HEARD] out; NO_CELL where fewer     level_dbm : f4[n, HEARD] out; QUIET_DBM there
    """
    columns, rows = I4(grid[3]), I4(grid[4])
    none = I4(cells.shape[0] - 1)
    last = I4(threshold.shape[0] - 1)
    for i in prange(len(x_m)):
        x, y = x_m[i], y_m[i]
        tx, ty = (x - grid[0]) * grid[2], (y - grid[1]) * grid[2]
        on_map = tx >= F4(0.0) and ty >= F4(0.0) and tx < grid[3] and ty < grid[4]
        tile = I4(ty) * columns + I4(tx) if on_map else I4(0)
        row = I4(carrier[i]) * rows * columns + tile
        place = pixel_of(x, y, grid[5]) if on_map else I4(0)
        common = field[(place & I4(511)) | (place >> I4(7))]
        walls = indoor_db[i] if on_map else F4(1000.0)
        shared_los = unpack_field(common, 0) * spread[2] - walls
        shared_nlos = unpack_field(common, 1) * spread[3] - walls
        now = time_ms[i]
        for k in range(CANDIDATES):
            c = candidate[row, k]
            dx, dy, rise = x - cells[c, X], y - cells[c, Y], cells[c, RISE]
            square = dx * dx + dy * dy
            square = square if square > NEAREST_M * NEAREST_M else NEAREST_M * NEAREST_M
            along = F4(sqrt(square))
            slant_square = square + rise * rise
            off = arccos_of((dx * cells[c, EAST] + dy * cells[c, NORTH]) / along)
            below = F4(0.5 * np.pi) - arccos_of(rise / F4(sqrt(slant_square)))
            lost = pattern_loss_db(off, cells[c, WIDTH_H], below, cells[c, TILT], cells[c, WIDTH_V])
            spot = I4(place + bits[c, SHIFT])
            own = field[(spot & I4(511)) | ((spot >> I4(7)) & I4(511 << 9))]
            step = I4(along * F4(0.25))
            sight = unpack_field(own, 2) < threshold[step if step < last else last]
            level = path_level_db(
                log2_of(slant_square), cells[c, NEAR], cells[c, FAR], cells[c, NLOS], slope, sight
            )
            shadow_los = unpack_field(own, 0) * spread[0] + shared_los
            shadow_nlos = unpack_field(own, 1) * spread[1] + shared_nlos
            level = level - lost + (shadow_los if sight else shadow_nlos)
            site = bits[c, SITE]
            dark = (now >= outage_from_ms[site]) & (now < outage_until_ms[site])
            level = F4(-1000.0) if dark else level
            key[i, k] = (I4(level * F4(65536.0)) << I4(4)) + I4(CANDIDATES - 1 - k)
        for k in range(HEARD):
            cell[i, k] = NO_CELL
            level_dbm[i, k] = QUIET_DBM
        for k in range(CANDIDATES):
            rank = I4(0)
            mine = key[i, k]
            for j in range(CANDIDATES):
                rank += I4(key[i, j] > mine)
            level = F4(mine >> I4(4)) * F4(1.0 / 65536.0)
            if rank < HEARD and level >= FLOOR_DBM and candidate[row, k] != none:
                cell[i, rank] = U4(candidate[row, k])
                level_dbm[i, rank] = level


@kernel
def expected_dbm(x, y, cells, c, slope, sight):
    """Return the level of cell c at a place [dBm], f4: mean over line of sight, no shadow.

    sight : f4[distances] probability of line of sight, 4 m a step.
    """
    dx, dy, rise = x - cells[c, X], y - cells[c, Y], cells[c, RISE]
    square = max(dx * dx + dy * dy, NEAREST_M * NEAREST_M)
    along, slant_square = F4(sqrt(square)), square + rise * rise
    off = arccos_of((dx * cells[c, EAST] + dy * cells[c, NORTH]) / along)
    below = F4(0.5 * np.pi) - arccos_of(rise / F4(sqrt(slant_square)))
    lost = pattern_loss_db(off, cells[c, WIDTH_H], below, cells[c, TILT], cells[c, WIDTH_V])
    lines = cells[c, NEAR], cells[c, FAR], cells[c, NLOS]
    log2_square = log2_of(slant_square)
    los = path_level_db(log2_square, lines[0], lines[1], lines[2], slope, True)
    nlos = path_level_db(log2_square, lines[0], lines[1], lines[2], slope, False)
    seen = sight[min(I8(along * F4(0.25)), len(sight) - 1)]
    return seen * los + (F4(1.0) - seen) * nlos - lost


@kernel
def list_candidates(members, reach_m, grid, cells, slope, sight, candidate, best_dbm):
    """Write for every tile the CANDIDATES cells with the best expected level at its middle.

    members   : i4[m]  cells of one carrier, rising     reach_m : f4  nothing farther is looked at
    candidate : i4[rows * columns, CANDIDATES] out, rising, the rest the row after the last cell
    best_dbm  : f4[rows * columns] out; QUIET_DBM where nothing is in reach
    """
    columns, side_m = I8(grid[3]), F4(1.0) / grid[2]
    level = np.empty(CANDIDATES, np.float32)
    for tile in range(len(candidate)):
        x = grid[0] + side_m * F4(tile % columns + 0.5)
        y = grid[1] + side_m * F4(tile // columns + 0.5)
        level[:] = QUIET_DBM
        candidate[tile, :] = cells.shape[0] - 1
        for c in members:
            dx, dy = x - cells[c, X], y - cells[c, Y]
            if dx * dx + dy * dy > reach_m * reach_m:
                continue
            mine, k = expected_dbm(x, y, cells, c, slope, sight), CANDIDATES - 1
            if mine <= level[k]:
                continue
            while k > 0 and level[k - 1] < mine:
                level[k], candidate[tile, k] = level[k - 1], candidate[tile, k - 1]
                k -= 1
            level[k], candidate[tile, k] = mine, c
        best_dbm[tile] = level[0]
        candidate[tile].sort()


@kernel
def white(seed, purpose, out):
    """Write standard normals, one a name (seed, purpose, 0, index).  out : f8[n]."""
    for i in range(len(out)):
        out[i] = normal(seed, purpose, 0, i)


@kernel
def indoor_loss_db(mode, bits, wall_db):
    """Return what stands between a handset and the street [dB], f4: a pure function of its u8 bits.

    mode : 0 in the open: nothing; 1 in a car: N(9, 5^2); 2 in a building with low loss:
    wall_db (through the wall at the carrier) + 0.5 dB a metre + N(0, 4.4^2), the metres
    being the smaller of two U(0, 25).  Never below 0.  Source: TR 38.901 clause 7.4.3.
    """
    if mode == 0:
        return F4(0.0)
    z = normal(U8(bits), 0, 0, 0)
    if mode == 1:
        return F4(max(9.0 + 5.0 * z, 0.0))
    inside_m = 25.0 * min(unit(mix64(U8(bits) + U8(1))), unit(mix64(U8(bits) + U8(2))))
    return F4(max(wall_db + 0.5 * inside_m + 4.4 * z, 0.0))


@kernel
def slant_m(x_m, y_m, cell, cells, range_m):
    """Write d3D [m] of each point to a cell: f4[n]; NaN beside NO_CELL.  x_m, y_m: f4[n], cell: u4[n]."""
    for i in range(len(x_m)):
        range_m[i] = F4(np.nan)
        if cell[i] != NO_CELL:
            c = I8(cell[i])
            dx, dy, rise = x_m[i] - cells[c, X], y_m[i] - cells[c, Y], cells[c, RISE]
            range_m[i] = F4(sqrt(dx * dx + dy * dy + rise * rise))
