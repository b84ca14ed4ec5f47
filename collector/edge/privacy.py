"""What was promised and spent, for whoever has to answer for it: read from what was released, and computed again."""

import json
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing, suppress
from datetime import date, timedelta
from fractions import Fraction
from importlib import resources
from math import exp
from pathlib import Path
from typing import Any

from collector.edge import ledger, spool
from probe.base import clock, config, packing, plugins
from probe.wire import release

SLOT_MS = clock.SPAN_S["slot"] * clock.SECOND_MS


def read(run: Path) -> dict[str, Any]:
    """Return what a run directory's releases state and its ledger holds; `problems` is empty when they agree.

    ConfigError: it is no run directory, what is in it is damaged, or nothing was released.
    """
    stated, drawn = defaultdict[int, Counter[release.Statement]](Counter), dict[tuple, release.Flag]()
    epochs = defaultdict[int, list[int]](list)
    files = (f"{(run / name).absolute().as_uri()}?mode=ro" for name in ("store.db", "spool.db"))
    try:
        store, book = (sqlite3.connect(file, uri=True) for file in files)
        with closing(store), closing(book):
            for frame, in store.execute("SELECT frame FROM release ORDER BY tab, slot"):
                if (one := release.decode(frame)).statement:  # which computes its rho again
                    stated[one.table][one.statement._replace(warming=False, consent_epoch=0)] += 1
                    epochs[one.table].append(one.statement.consent_epoch)
                    drawn[one.table, one.slot] = one.flags
            charges = spool.charges(book)
            (zone,) = store.execute("SELECT max(json_extract(content, '$.zone')) FROM registry").fetchone()
    except (sqlite3.Error, packing.WireError) as error:
        raise config.ConfigError(str(run), [f"cannot be read: {error}; name the directory of a run"]) from None
    if not stated:
        raise config.ConfigError(str(run), ["nothing was released, so nothing is promised; paid for, but not in the "
                                            f"store: {len(charges)} releases"])
    promised = {table: next(iter(found)) for table, found in sorted(stated.items())}
    paid = defaultdict[tuple[int, int], Fraction](Fraction)
    for charge in charges:
        paid[charge.table, charge.day] += charge.rho
    silent = sum((paid.pop(key) for key in [*paid] if key[0] not in promised), Fraction(0))
    due = {key: promised[key[0]].rho for key in paid}
    charged, declared = (sum(rho.values(), Fraction(0)) for rho in (paid, due))
    keys = {one[:2] for one in charges}
    uncharged, unreleased = len(drawn.keys() - keys), len(keys - drawn.keys())
    problems = [words for words, there in {
        "a table states more than one promise": max(map(len, stated.values())) > 1,
        "the consent epoch of a table goes back": any(one != sorted(one) for one in epochs.values()),
        f"{uncharged} releases were never charged": uncharged,
        f"the ledger holds rho {charged}, the releases declare {declared}": paid != due}.items() if there]
    spent, its = ledger.spent(promised.values()), next(iter(promised.values()))
    alone = {"subscriber-day": spent["day"], "subscriber-week": spent["week"] - 7 * spent["day"]}
    known = dict.fromkeys(("scenario", "version", "state"), "not known (no run.json)")
    with suppress(OSError, ValueError, AttributeError):
        said = json.loads((run / "run.json").read_text("utf-8")).items()
        known |= {name: str(one) for name, one in said if name in known}
    begins = [(clock.local(slot * SLOT_MS, zone or "UTC"), promised[table].slot_s) for table, slot in drawn]
    ends = [begin + timedelta(seconds=length_s) for begin, length_s in begins]  # by the clock on the wall, as days end
    return {**known, "period": [one.isoformat(timespec="minutes") for one in (min(begins)[0], max(ends))],
            "seeded": any(flags & release.Flag.SEEDED for flags in drawn.values()), "releases": len(drawn),
            **{name: getattr(its, name) for name in ("basis", "purpose", "code")},
            "consent_epochs": [limit(map(limit, epochs.values())) for limit in (min, max)],
            "code_is_installed": its.code == ledger.code(), "unreleased": unreleased,
            "silent_rho": float(silent),
            "tables": [{**described(one), "number": number, "releases": stated[number].total(),
                        "consent_epoch": epochs[number][-1], "share": float(one.rho / alone[one.unit])}
                       for number, one in promised.items()],
            "spent": {name: {"rho": float(rho), "rho_exact": str(rho), "e_to_epsilon": exp(
                epsilon := ledger.epsilon(rho) if rho else 0.0), "epsilon_at_1e_6": epsilon}
                      for name, rho in spent.items()},
            "ledger": {"charged": str(charged), "declared": str(declared), "equal": paid == due, "paid": len(paid),
                       "charged_rho": float(charged), "declared_rho": float(declared)}, "problems": problems}


def described(its: release.Statement) -> dict[str, Any]:
    """Return one table's promise, with its figures in value units, and the rule that its plugin states."""
    rule = "of a plugin that is not installed here"
    with suppress(config.ConfigError):
        rule = (plugins.load("footfall.metrics", its.table.partition("@")[0]).__doc__ or rule).partition("\n")[0]
    return {**its._replace(axes=its.axes.replace(",", ", "))._asdict(), "rho": float(its.rho), "sigma": its.sigma,
            "bound": its.bound_squared**0.5 / its.tally_units, "rule": rule}


def page(found: dict[str, Any], run: Path, today: date) -> str:
    """Return it as one plain page; figures are rounded."""
    text = resources.files("collector.edge").joinpath("privacy.txt").read_text("utf-8")
    seeded, system, daily, weekly, rules, head, table, foot = text.split("%%\n")
    plain = dict(line.split(" = ") for line in rules.splitlines())
    tables = (table.format(**{**one, "bound": round(one["bound"], 2),
                              "rule": plain.get(one["table"].partition("@")[0], one["rule"])},
                           every=plain.get(one["span"], one["span"]), per=one["unit"].split("-")[1])
              for one in found["tables"])
    by_week = any(one["span"] == "week" for one in found["tables"])
    return "".join((
        head.format(**found, run=run, drawn=(seeded if found["seeded"] else system).rstrip(), today=today,
                    lived=(weekly if by_week else daily).rstrip(), count=len(found["tables"]),
                    who=plain[found["basis"]]), *tables,
        foot.format(**found, **found["spent"], verdict="equal, exactly" if found["ledger"]["equal"] else "NOT EQUAL",
                    whose="that installed here" if found["code_is_installed"] else "not that installed here",
                    wrong="".join(f"- WRONG: {words}\n" for words in found["problems"])))).rstrip()
