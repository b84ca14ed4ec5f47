"""What was promised and spent, for whoever has to answer for it: read from what was released, and recomputed."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from collector.edge import ledger, spool
from probe.base import config, packing, plugins, record
from probe.wire import release

DELTA = 1e-6
SPAN_WORDS = {"slot": "15 minutes", "hour": "hour", "part": "4 hours", "day": "day", "week": "week"}
PERIOD_WORDS = {"day": "a day", "week": "a week", "days_28": "28 days"}
BASIS_WORDS = {"consent": "Adults who said yes. Absent, unknown or conflicting means no.",
               "anonymous": "Adults who did not object. Unknown or conflicting means no."}
SEEDED = """THIS RUN PROTECTS NOBODY. Its noise was drawn from a seed, so that the simulation can be repeated: whoever
knows the seed computes the noise and takes it away. Every release says so (flag `seeded`). What follows
holds where the operating system draws, as it does without a seed."""
DRAWN = "The noise was drawn by the operating system of the edge; nobody can compute it again."
MEANING = """Epsilon bounds what anyone can learn about one person from everything released in that time, whatever else
they know: no conclusion becomes more than e^epsilon times as likely because that person was counted (but for
one chance in a million). The noise of a sum is that of its parts; no question asked later adds to it."""
NOT_PROMISED = """- Beyond these times it adds up: every further day costs as much again.
- It is one person's protection, not a group's: k people who always move together cost k x k as much.
- What is true of a place stays visible (this square is full at noon), whoever is counted there.
- Inside the edge, pseudonyms and where they are stand in memory until the local day ends (for `repeat`, the
  week); never in a file, a log, or anything that leaves."""


def read(run: Path) -> dict[str, Any]:
    """Return what a run directory's releases state and its ledger holds; `problems` is empty when they agree.

    ConfigError: it is no run directory, or nothing was released.
    """
    stated, drawn, flags = defaultdict[int, Counter[release.Statement]](Counter), set(), release.Flag(0)
    damaged = 0
    with opened(run / "store.db") as store:
        for frame, in store.execute("SELECT frame FROM release"):
            try:
                one = release.decode(frame)  # checks, too, that its noise costs what it states
            except packing.WireError:
                damaged += 1
                continue
            if one.statement:
                stated[one.table][one.statement._replace(warming=False)] += 1
                drawn.add((one.table, one.slot))
                flags |= one.flags
    with opened(run / "spool.db") as db:
        if record.marked(db)[0] != spool.APPLICATION_ID:
            raise config.ConfigError(str(run / "spool.db"), ["is no spool of footfall"])
        charges = spool.charges(db)
    if not stated:
        raise config.ConfigError(str(run), ["nothing was released, nothing to state"])
    first = {table: next(iter(found)) for table, found in sorted(stated.items())}
    paid = defaultdict[tuple[int, int], Fraction](Fraction)
    for charge in charges:
        paid[charge.table, charge.day] += charge.rho
    declared = sum((first[table].rho for table, _ in paid if table in first), Fraction(0))
    charged, uncharged = sum(paid.values(), Fraction(0)), drawn - {one[:2] for one in charges}
    wrong = [f"table {table}, {day}: paid with rho {rho}" for (table, day), rho in paid.items()
             if table in first and rho != first[table].rho]
    problems = [words for words, there in {
        f"{damaged} releases in the store are damaged or of another version": damaged,
        "a table states more than one promise": max(map(len, stated.values())) > 1,
        f"{len(uncharged)} releases were never charged": uncharged,
        f"the ledger holds {charged}, the releases declare {declared}": charged != declared,
        "; ".join(wrong): wrong}.items() if there]
    its = next(iter(first.values()))
    return {"seeded": bool(flags & release.Flag.SEEDED), "basis": its.basis, "purpose": its.purpose,
            "consent_epoch": its.consent_epoch, "code": its.code, "code_is_installed": its.code == ledger.code(),
            "releases": len(drawn),
            "tables": [described(number, its, stated[number].total()) for number, its in first.items()],
            "spent": {name: {"rho": float(rho), "rho_exact": str(rho), "epsilon_at_1e_6": ledger.epsilon(rho, DELTA)}
                      for name, rho in ledger.spent(first.values()).items()},
            "ledger": {"charged": str(charged), "declared": str(declared), "equal": charged == declared,
                       "days_paid": len(paid)}, "problems": problems}


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file of a run to be read only, or raise ConfigError."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            yield db
    except sqlite3.Error as error:
        raise config.ConfigError(str(path), [f"cannot be read: {error}; name the directory of a run"]) from None


def described(number: int, its: release.Statement, releases: int) -> dict[str, Any]:
    """Return one table's promise: the statement, and its figures in value units."""
    return {**its._asdict(), "number": number, "releases": releases, "sigma": its.sigma, "rho": float(its.rho),
            "bound": its.bound_squared**0.5 / its.tally_units, "bound_words": bound_words(its.table.partition("@")[0])}


def bound_words(name: str) -> str:
    """Return what one person can add to a table at most, as its plugin says."""
    try:
        return (plugins.load("footfall.metrics", name).__doc__ or "").strip().partition("\n")[0]
    except config.ConfigError:
        return ""


def page(found: dict[str, Any], run: Path) -> str:
    """Return it as one plain page."""
    day_rho = max(found["spent"]["day"]["rho"], 1e-300)
    lines = [f"What was promised to everyone counted in {run}, and what was spent of it", "",
             SEEDED if found["seeded"] else DRAWN, "",
             f"Who is counted  {BASIS_WORDS[found['basis']]} Minors never.",
             f"Purpose         {found['purpose'].replace('_', ' ')}; basis {found['basis']}, "
             f"consent epoch {found['consent_epoch']}",
             f"What leaves     {found['releases']:,} releases of {len(found['tables'])} tables: whole numbers with",
             "                noise, of fixed size. No identity, no pseudonym, no place of a person.",
             "", "Table by table: what one person can change at most, the noise against it, what that costs"]
    for one in found["tables"]:
        unit, whole = one["unit"].removeprefix("subscriber-"), one["tally_units"] > 1
        part = "on top" if unit == "week" else f"{one['rho'] / day_rho:.1%} of the day"
        lines += ["", f"{one['table']}: {one['value_unit']} by {one['axes'].replace(',', ', ')}, every "
                      f"{SPAN_WORDS[one['span']]}; {one['releases']:,} released"]
        lines += [f"    one person   {one['bound_words']}"] * bool(one["bound_words"])
        lines += [f"    at most      {one['bound']:,.{0 if whole else 2}f} {one['value_unit']} a {unit}, all cells "
                  "together (root of the sum of squares)",
                  f"    noise        standard deviation {one['sigma']:,.{0 if whole else 2}f} {one['value_unit']}, "
                  "discrete Gaussian, exact",
                  f"    cost         rho {one['rho_numerator']}/{one['rho_denominator']} = {one['rho']:.6f} "
                  f"a {one['unit']}, {part}"]
    lines += ["", "All tables together, for one person", "                     rho    epsilon at 1e-6"]
    lines += [f"    {PERIOD_WORDS[name]:9} {its['rho']:11.6f} {its['epsilon_at_1e_6']:12.3f}"
              for name, its in found["spent"].items()]
    book, same = found["ledger"], "the code installed here" if found["code_is_installed"] else "other code than here"
    lines += [MEANING, "", "Checked just now",
              "- In every release the rho stated is that of its bound and noise, recomputed as fractions.",
              f"- The edge's ledger: rho {float(Fraction(book['charged'])):.9f} charged, for {book['days_paid']} days",
              f"  of tables;   {float(Fraction(book['declared'])):.9f} declared by the releases: as fractions "
              + ("equal, exactly." if book["equal"] else "NOT EQUAL."),
              f"- Made by code {found['code']}: {same}.", *(f"- WRONG: {words}" for words in found["problems"]),
              "", "What is not promised", NOT_PROMISED]
    return "\n".join(lines)
