"""How loud the cells are at a place: levels of many points at once, the same bits for one as for many.

A point looks up its tile, which lists the cells that can matter there; each is worked
out by the same branch-free formula, many points side by side.  Everything is f4 and IEEE
arithmetic only (own logarithm and arc cosine), so no result depends on the width of a
vector or on a system's mathematics library.

Sources: 3GPP TR 38.901 V17.0.0, tables 7.4.1-1, 7.4.2-1, 7.5-6, clause 7.4.3 (loss, line
of sight, shadowing, walls) and table 7.3-1 with TR 36.814 table A.2.1.1-2 (antenna).
"""

from math import sqrt

import numpy as np

from probe.base.jit import kernel, lanes, prange
from probe.base.streams import mix64, normal, unit

F4, I4, I8, U8 = np.float32, np.int32, np.int64, np.uint64
# Cells that a tile lists for a carrier (the loudest of all is in it for 97 % of the places) and that a point hears at
# most; points worked out side by side.
CANDIDATES, HEARD, BLOCK = 12, 8, 128
# Where fewer are heard, and the level beside it; nothing below is heard; a key holds no less.
NO_CELL, QUIET_DBM, FLOOR_DBM, SILENT_DBM = np.uint32(0xFFFFFFFF), F4(-200.0), F4(-125.0), F4(-1000.0)
NEAREST_M, HANDSET_M = F4(10.0), F4(1.5)  # the models hold from here on; height
# The field is periodic, 512 x 512 pixels, its values in 10 bits; steps of tables over the distance to a mast.
FIELD_PIXELS, STEPS_PER_SIGMA, SIGHT_STEPS, SIGHT_STEP_M = 512, 100.0, 2_048, 4.0

# Columns of the cell table f4[cells + 1, 16], one cache line a cell; * = i4 bits in the same row.
X, Y, RISE, NEAR, FAR, NLOS, EAST, NORTH, TILT, WIDTH_H, WIDTH_V, SHIFT, SITE = range(13)  # * SHIFT, SITE


@kernel
def log2_of(x):
    """Return log2 of a positive f4, to 5e-6: exponent bits and a polynomial (own minimax fit)."""
    bits = F4(x).view(I4)
    exponent = I4((bits - I4(0x3F400000)) >> I4(23))
    m = I4(bits - (exponent << I4(23))).view(F4)  # 0.75 to 1.5
    p = F4(-3.079187791120677) + m * (F4(1.0593578164899102) + m * F4(-0.15277584747697132))
    p = F4(3.4628541915150493) + m * (F4(-4.737954472514074) + m * (F4(4.890397729887984) + m * p))
    return F4(exponent) + (m - F4(1.0)) * p


@kernel
def arccos_of(c):
    """Return the arc cosine [rad] of an f4, to 2e-6 (form: Abramowitz and Stegun 4.4.45; own fit)."""
    short = max(F4(0.0), F4(1.0) - abs(c))  # so the compiler knows it has a root
    a = F4(1.0) - short
    p = F4(-0.04478450782474688) + a * (F4(0.019150963394460607) + a * F4(-0.004258281352953221))
    p = F4(1.5707950515308307) + a * (F4(-0.21450454641508496) + a * (F4(0.08781391608686209) + a * p))
    r = F4(sqrt(short)) * p
    return r if c >= F4(0.0) else F4(np.pi) - r


@kernel
def antenna_loss_db(dx, dy, rise, east, north, tilt, width_h, width_v):
    """Return what the antenna loses off its main beam towards a place [dB], f4.

    dx, dy      : f4 from the mast to the place [m], not both 0     rise : f4 antenna above the handset [m]
    east, north : f4 unit vector of the boresight                   tilt : f4 of the main beam below the horizon [rad]
    width_h, width_v : f4 12 / beamwidth^2 [1/rad^2], 0 = omnidirectional
    Caps: 30 dB horizontal and in all, 20 dB vertical (TR 36.814 table A.2.1.1-2).
    """
    square = ground_square(dx, dy)
    off = arccos_of((dx * east + dy * north) / F4(sqrt(square)))
    below = F4(0.5 * np.pi) - arccos_of(rise / F4(sqrt(square + rise * rise))) - tilt
    return min(F4(30.0), min(F4(30.0), width_h * off * off) + min(F4(20.0), width_v * below * below))


@kernel
def ground_square(dx, dy):
    """Return d2D^2 [m^2], f4, not below that of NEAREST_M."""
    return max(NEAREST_M * NEAREST_M, dx * dx + dy * dy)


@kernel
def path_level_db(log2_square, near_db, far_db, nlos_db, fall_near, fall_far, fall_nlos, sight):
    """Return the level by distance alone [dB], f4, in line of sight or not.

    log2_square : log2 of d3D^2 [m^2]; near_db, far_db, nlos_db: three straight lines at d3D = 1 m;
    fall_...    : their fall [dB per decade].  Beyond the break point "far" is below "near".

    Like the others it takes and returns single numbers: arrays (reference counts) and tuples
    (memory) would keep the loop around it from becoming vector code.
    """
    lg = log2_square * F4(0.15051499783199060)  # log10(2) / 2
    near, far, nlos = near_db - fall_near * lg, far_db - fall_far * lg, nlos_db - fall_nlos * lg
    los = min(far, near)
    return los if sight else min(nlos, los)


@kernel
def sight_step(square):
    """Return the step of d2D^2 [m^2] in the tables over distance, i4."""
    return I4(min(I4(SIGHT_STEPS - 1), I4(F4(sqrt(square)) * F4(1.0 / SIGHT_STEP_M))) & I4(SIGHT_STEPS - 1))


@kernel
def unpack_field(packed, part):
    """Return a packed Gaussian field in sigmas, f4: 0 shadow in, 1 out of line of sight, 2 sight."""
    return F4(I4((packed >> I4(10 * part)) & I4(1023)) - F4(512.0)) * F4(1.0 / STEPS_PER_SIGMA)


@kernel
def field_at(pixel):
    """Return where in the field a pixel is, after a shift was added to it, i4."""
    return I4((pixel & I4(511)) | ((pixel >> I4(7)) & I4(511 << 9)))


@kernel
def plain(index):
    """Return an i4 that the compiler knows to be small and not negative: it saves a branch a look-up."""
    return I4(index & I4((1 << 30) - 1))


@lanes
def place(x_m, y_m, carrier, indoor_db, grid, spread, field, spot, haze):
    """Write where each of n points stands: the first step of measuring, for arguments see `weigh`.

    carrier : u1[n]        indoor_db : f4[n] walls and cars
    grid    : f4[6]        west, south, tiles per metre, columns, rows, pixels per metre
    spread  : f4[4]        sigma LOS, NLOS [dB] of a site's own shadow; the same of the shared one
    field   : i4[512 * 512] three Gaussian fields, packed
    spot    : i4[2, n] out  first candidate of the tile and carrier; pixel, x in the low and y in the high 16 bits
    haze    : f4[2, n] out  what all cells gain or lose there in and out of line of sight [dB]
    """
    columns, tiles = I4(grid[3]), I4(grid[3]) * I4(grid[4])
    for i in prange(len(x_m)):
        tx, ty = (x_m[i] - grid[0]) * grid[2], (y_m[i] - grid[1]) * grid[2]
        on_map = (tx >= F4(0.0)) & (ty >= F4(0.0)) & (tx < grid[3]) & (ty < grid[4])
        tile = I4(ty) * columns + I4(tx) if on_map else I4(0)
        px, py = I4(np.floor(x_m[i] * grid[5])) & I4(511), I4(np.floor(y_m[i] * grid[5])) & I4(511)
        pixel = I4(px + (py << I4(16))) if on_map else I4(0)
        walls = indoor_db[i] if on_map else F4(300.0)  # off the map all is silence
        here = field[field_at(pixel)]
        spot[0, i], spot[1, i] = I4((I4(carrier[i]) * tiles + tile) * CANDIDATES), pixel
        haze[0, i], haze[1, i] = unpack_field(here, 0) * spread[2] - walls, unpack_field(here, 1) * spread[3] - walls


@lanes
def weigh(x_m, y_m, spot, haze, candidate, cells, words, slope, threshold, spread, field, key):
    """Write how loud each of its CANDIDATES is at each of n points.

    x_m, y_m  : f4[n] place
    candidate : i4[carriers * tiles * CANDIDATES]  cells, rising; the row after the last cell = none
    cells     : f4[(cells + 1) * 16]  as the column names above say; words: the same memory as i4
    slope     : f4[3]            fall near, far, out of line of sight, see path_level_db
    threshold : f4[SIGHT_STEPS]  a mast so far away is in sight where its field is below
    key       : i4[blocks, CANDIDATES, BLOCK] out   the level in 1/65536 dB and four bits that rank
                the lower cell higher; the points in blocks side by side, so that vectors hold points
    """
    for block in prange(len(key)):
        first, size = U8(block * BLOCK), min(BLOCK, len(x_m) - block * BLOCK)
        for k in range(CANDIDATES):
            for lane in range(size):
                i = first + U8(lane)
                c = plain(candidate[plain(spot[0, i] + I4(k))] << I4(4))
                dx, dy = x_m[i] - cells[plain(c + X)], y_m[i] - cells[plain(c + Y)]
                rise, square = cells[plain(c + RISE)], ground_square(dx, dy)
                lost = antenna_loss_db(dx, dy, rise, cells[plain(c + EAST)], cells[plain(c + NORTH)],
                                       cells[plain(c + TILT)], cells[plain(c + WIDTH_H)], cells[plain(c + WIDTH_V)])
                own = field[field_at(I4(spot[1, i] + words[plain(c + SHIFT)]))]
                sight = unpack_field(own, 2) < threshold[sight_step(square)]
                level = path_level_db(log2_of(square + rise * rise), cells[plain(c + NEAR)], cells[plain(c + FAR)],
                                      cells[plain(c + NLOS)], slope[0], slope[1], slope[2], sight)
                los = unpack_field(own, 0) * spread[0] + haze[0, i]
                nlos = unpack_field(own, 1) * spread[1] + haze[1, i]
                level = max(SILENT_DBM, level - lost + (los if sight else nlos))
                key[block, k, lane] = I4((I4(level * F4(65536.0)) << I4(4)) + I4(CANDIDATES - 1 - k))


@kernel
def silence(time_ms, spot, candidate, words, outage_from_ms, outage_until_ms, key):
    """Silence in key the cells whose site is out.  time_ms: i8[n]; outage_...: i8[sites + 1]."""
    for i in range(len(time_ms)):
        for k in range(CANDIDATES):
            site = words[(I8(candidate[spot[0, i] + k]) << 4) + SITE]
            if outage_from_ms[site] <= time_ms[i] < outage_until_ms[site]:
                key[i // BLOCK, k, i % BLOCK] = I4(SILENT_DBM * F4(1 << 20)) - k


@lanes
def choose(spot, candidate, key, cell, level_dbm):
    """Write the HEARD loudest cells of n points, loudest first, ties by cell number.

    cell : i4[n * HEARD] out, the bits of NO_CELL where fewer   level_dbm : f4[n * HEARD] out, QUIET_DBM there

    The rank of a candidate is the number of keys above its own; `cell` holds keys first, then cells.
    """
    for block in prange(len(key)):
        first, size = U8(block * BLOCK), min(BLOCK, spot.shape[1] - block * BLOCK)
        for k in range(CANDIDATES):
            for lane in range(size):
                above, mine = I4(0), key[block, k, lane]
                for j in range(CANDIDATES):
                    above = I4(above + I4(key[block, j, lane] > mine))
                if above < I4(HEARD):
                    cell[(first + U8(lane)) * U8(HEARD) + U8(above)] = mine
        for e in range(size * HEARD):
            out = first * U8(HEARD) + U8(e)
            level = F4(cell[out] >> I4(4)) * F4(1.0 / 65536.0)
            loud = candidate[plain(spot[0, out // U8(HEARD)] + I4(CANDIDATES - 1) - (cell[out] & I4(15)))]
            cell[out] = loud if level >= FLOOR_DBM else I4(-1)
            level_dbm[out] = level if level >= FLOOR_DBM else QUIET_DBM


@kernel
def list_candidates(members, reach_m, grid, cells, slope, sight, candidate, best_dbm):
    """Write for every tile the CANDIDATES cells with the best expected level at its middle.

    members   : i4[m]  cells of one carrier, rising     reach_m : f4  nothing farther is looked at
    cells     : f4[(cells + 1) * 16]                    sight   : f4[SIGHT_STEPS] probability by distance
    candidate : i4[rows * columns, CANDIDATES] out, rising, the rest the row after the last cell
    best_dbm  : f4[rows * columns] out; QUIET_DBM where nothing is in reach
    """
    columns, side_m = I8(grid[3]), F4(1.0) / grid[2]
    level, found = np.empty(CANDIDATES + 1, F4), np.empty(CANDIDATES + 1, I4)  # one more: the place of what is beaten
    for tile in range(len(candidate)):
        x, y = grid[0] + side_m * F4(tile % columns + 0.5), grid[1] + side_m * F4(tile // columns + 0.5)
        level[:], found[:] = QUIET_DBM, len(cells) // 16 - 1
        for member in members:
            c = I4(member << I4(4))
            dx, dy = x - cells[c + X], y - cells[c + Y]
            if dx * dx + dy * dy > reach_m * reach_m:
                continue
            rise, square = cells[c + RISE], ground_square(dx, dy)
            mine = -antenna_loss_db(dx, dy, rise, cells[c + EAST], cells[c + NORTH], cells[c + TILT],
                                    cells[c + WIDTH_H], cells[c + WIDTH_V])
            seen = sight[sight_step(square)]
            for share, line in ((seen, True), (F4(1.0) - seen, False)):
                mine += share * path_level_db(log2_of(square + rise * rise), cells[c + NEAR], cells[c + FAR],
                                              cells[c + NLOS], slope[0], slope[1], slope[2], line)
            k = CANDIDATES
            while k > 0 and level[k - 1] < mine:
                level[k], found[k] = level[k - 1], found[k - 1]
                k -= 1
            level[k], found[k] = mine, member
        best_dbm[tile], candidate[tile] = level[0], np.sort(found[:CANDIDATES])


@kernel
def white(seed, purpose, count):
    """Return f8[count] standard normals, one a name (seed, purpose, 0, index)."""
    return np.array([normal(seed, purpose, 0, i) for i in range(count)])


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
    inside_m = 25.0 * min(unit(mix64(U8(bits) + U8(1))), unit(mix64(U8(bits) + U8(2))))
    return F4(max(9.0 + 5.0 * z if mode == 1 else wall_db + 0.5 * inside_m + 4.4 * z, 0.0))
