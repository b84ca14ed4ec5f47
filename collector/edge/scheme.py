"""What one edge counts: its area sets as one set of pieces, and the tables that were chosen over each."""

import hashlib
import json
from collections import namedtuple
from collections.abc import Mapping, Sequence

from collector.edge.kernels.visits import AREAS_MAX
from collector.edge.ledger import TableConfig
from collector.edge.metrics import Metric, Places, Rows, check
from collector.edge.slots import Slots
from collector.edge.tables import Table
from probe.base import clock, config, plugins
from probe.wire.areas import AreaSet, overlay, zones
from probe.wire.cells import COUNTRIES

SECOND = 256  # of a second set: first number of its tables


class Scheme(namedtuple("Scheme", "pieces rows zones homes tables slot_s")):
    """What is counted where.  One entry for each area set in the lists.

    pieces : the overlay of all sets: fixes speak of pieces
    rows   : u2[pieces]  the row of the set that a piece lies in
    zones  : u1[areas]   the zone of each area
    homes  : where people may live: areas of the primary set, countries, unknown
    tables : those of the set
    """

    @property
    def weekly(self) -> bool:
        """Return whether anything is counted over a week."""
        return any(table.metric.source == "weeks" for table in self.every())

    def every(self) -> list[Table]:
        """Return all tables."""
        return [table for tables in self.tables for table in tables]


def read(sets: Mapping[str, AreaSet], chosen: Sequence[str], slots: Slots, until_ms: int) -> Scheme:
    """Return what is counted; or raise ConfigError with everything that is wrong with the tables chosen.

    sets   : area sets by name, the primary one, "", first
    chosen : names of tables, "presence", or "presence@shops" over the set named so
    """
    problems = [f'areas{name and f" {name}"}: {areas.elsewhere:,} areas; what a person did is kept by at most '
                f"{AREAS_MAX:,}; join small ones, or run a part of the map on its own"
                for name, areas in sets.items() if areas.elsewhere > AREAS_MAX]
    known: dict[str, type[Metric]] = plugins.installed("footfall.metrics")
    pieces, rows = overlay(list(sets.values()))
    first, split = next(iter(sets.values())), [zones(areas) for areas in sets.values()]
    homes = named(first) + [(str(mcc or "other"), name) for mcc, name in COUNTRIES] + [("unknown", "unknown")]
    tables: list[list[Table]] = [[] for _ in sets]
    for name in dict.fromkeys(chosen):
        family, _, where = name.partition("@")
        if family not in known or where not in sets or name.endswith("@"):
            there = [f"{one}@{at}" if at else one for at in sets for one in ({family} & {*known} or known)]
            there_is = f'{config.did_you_mean(name, there)}; there is: {", ".join(there)}'
            problems.append(f'tables: no table "{name}"{there_is}')
            continue
        number, areas = list(sets).index(where), sets[where]
        metric = plugins.settings("footfall.metrics", "collector", {"kind": family})
        places = Places(named(areas), homes, split[number][1], split[number][0], number == 0)
        strange = type(metric).__module__.rpartition(".")[0] != Metric.__module__  # then its word must be held to it
        if wrong := strange and check.broken(metric, slots.length_ms // clock.SECOND_MS, places):
            problems += [f'tables: "{name}": {words}' for words in wrong]
            continue
        tables[number].append(Table(metric, places, name, SECOND * number + metric.table, slots, until_ms))
    if problems:
        raise config.ConfigError("[collector]", problems)
    return Scheme(pieces, rows, [zone_of for zone_of, _ in split], homes, tables, slots.length_ms // clock.SECOND_MS)


def named(areas: AreaSet) -> Rows:
    """Return (id, name) of every area, elsewhere last."""
    return list(zip(areas.area_id, areas.name, strict=True))


def sealed(counted: Scheme) -> list[TableConfig]:
    """Return the tables as the seal needs to know them; 8 bytes name the areas and the lists behind the axes."""
    where, found = counted.pieces.digest + b"".join(row.tobytes() for row in counted.rows), []
    for table in counted.every():
        metric, lists = table.metric, json.dumps(table.axes).encode()
        named = table.number, table.name, hashlib.sha256(where + lists).digest()[:8], ",".join(table.axes), table.cells
        found.append(TableConfig(*named, metric.span, metric.value_unit, metric.tally_units,
                                 metric.bound_squared(counted.slot_s)))
    return found
