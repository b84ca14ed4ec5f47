"""Many handsets at once say what one handset says, whatever the step, the shard and the grade of the tap."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from probe.wire.events import EVENT, NO_PCI, NO_RSRP, NO_TA, REFUSES, Kind
from simulator.kernels import procedures
from simulator.kernels.timeline import HANDSET, PERIODIC_MS
from tests import oracles_signalling as oracles
from tests.builders_signalling import cohort_events, digest, handset_events, small

OUTAGES, REFUSING = "traffic.outage_every_days=0.02", "traffic.refusing_share=0.4"
ACCESS = [Kind.ATTACH, Kind.DETACH, Kind.TAU, Kind.TAU_PERIODIC, Kind.SERVICE_REQUEST, Kind.PAGING_RESPONSE,
          Kind.REESTABLISHMENT]  # fmt: skip


@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.generate])  # shrinking takes minutes
@given(
    seed=st.integers(0, 1 << 40),
    grade=st.sampled_from(["core", "trace", "mdt"]),
    outage=st.sampled_from(["0.001", "0.05", "30"]),
    hour=st.sampled_from(["00:00", "06:00", "07:00", "17:00", "22:30"]),
    step_s=st.sampled_from([10, 60, 900]),
    refusing=st.sampled_from(["0", "0.4", "1"]),
)
def test_the_same_bytes_as_the_reference(seed, grade, outage, hour, step_s, refusing):
    sets = (f"world.seed={seed}", f"probe.grade={grade}", f"traffic.outage_every_days={outage}",
            f"world.start=2026-05-12T{hour}", f"world.step_s={step_s}",
            f"traffic.refusing_share={refusing}")  # fmt: skip
    got, wanted = cohort_events(*sets), oracles.in_order(handset_events(*sets))
    assert got.tobytes() == wanted.tobytes()


def test_no_step_and_no_shard_changes_the_digest():
    common = OUTAGES, REFUSING
    wanted = digest(*common, "world.step_s=300")
    assert {digest(*common, f"world.step_s={step_s}") for step_s in (10, 60, 900)} == {wanted}
    assert digest(*common, "world.step_s=300", shards=2) == wanted
    assert digest(*common, "world.step_s=300", shards=64) == wanted
    assert digest(*common, "world.step_s=300", "world.seed=2") != wanted


def test_a_handset_never_says_two_things_at_once():
    events = cohort_events(OUTAGES, "probe.grade=mdt")
    order = np.lexsort((events["time_ms"], events["subscriber"]))
    time_ms, subscriber = events["time_ms"][order], events["subscriber"][order]
    assert np.all((np.diff(time_ms) > 0) | (np.diff(subscriber.astype("i8")) != 0))


def test_a_world_stays_within_its_time_and_its_cells():
    scenario, place = small(OUTAGES)
    events = cohort_events(OUTAGES)
    assert events["time_ms"].min() >= scenario.start_ms and events["time_ms"].max() < scenario.end_ms
    assert events["cell"].max() < len(place.net)


def without_reports(events):
    return events[events["kind"] != Kind.REPORT][["time_ms", "subscriber", "cell", "kind"]].tolist()


def test_a_better_tap_hears_more_of_the_same_life():
    core, trace, mdt = (cohort_events(OUTAGES, f"probe.grade={grade}") for grade in ("core", "trace", "mdt"))
    assert without_reports(core) == without_reports(trace) == without_reports(mdt)
    assert len(core) == len(without_reports(core)) < len(trace) < len(mdt)
    a3 = {row.tobytes() for row in trace[trace["kind"] == Kind.REPORT]}
    assert a3 <= {row.tobytes() for row in mdt}


def test_core_hears_the_cell_and_nothing_else():
    core = cohort_events(OUTAGES, "probe.grade=core")
    assert np.all(core["ta"] == NO_TA) and np.all(core["rsrp"] == NO_RSRP)
    assert np.all(core["neighbour_pci"] == NO_PCI)


def test_trace_hears_ranges_at_access_and_levels_at_handover():
    trace = cohort_events(OUTAGES)
    loud = np.isin(trace["kind"], [Kind.REPORT, Kind.HANDOVER])
    assert np.all((trace["ta"] != NO_TA) == (np.isin(trace["kind"], ACCESS) | loud))
    assert np.all((trace["rsrp"][:, 0] != NO_RSRP) == loud)
    assert np.all((trace["neighbour_pci"] == NO_PCI) == (trace["rsrp"][:, 1:] == NO_RSRP))


def test_neighbours_are_sorted_and_the_wanted_one_is_louder():
    reports = cohort_events("probe.grade=mdt")
    reports = reports[reports["kind"] == Kind.REPORT]
    level = np.where(reports["rsrp"] == NO_RSRP, -1, reports["rsrp"].astype(int))[:, 1:]
    assert np.all(np.diff(level, axis=1) <= 0)


def test_the_words_of_the_kernel_are_those_of_the_wire():
    spoken = {name: getattr(procedures, name) for name in vars(procedures) if name.startswith("SAY_")}
    wire = (Kind.ATTACH, Kind.DETACH, Kind.TAU, Kind.TAU_PERIODIC, Kind.SERVICE_REQUEST, Kind.PAGING_RESPONSE,
            Kind.RELEASE, Kind.HANDOVER, Kind.REESTABLISHMENT, Kind.REPORT)  # fmt: skip
    assert list(spoken.values()) == [int(kind) for kind in wire]
    assert (procedures.NO_TA, procedures.NO_RSRP, procedures.NO_PCI) == (NO_TA, NO_RSRP, NO_PCI)


def test_a_handset_fits_into_64_bytes():
    assert HANDSET.itemsize == 64 and EVENT.itemsize == 48


def test_connections_open_and_close_in_turn():
    events = cohort_events(OUTAGES)
    for subscriber in np.unique(events["subscriber"]):
        kinds = events["kind"][events["subscriber"] == subscriber]
        connected = False
        for kind in kinds:
            if kind in (Kind.SERVICE_REQUEST, Kind.PAGING_RESPONSE):
                assert not connected or kind  # a link lost beyond coverage ends without a word
                connected = True
            elif kind in (Kind.HANDOVER, Kind.REESTABLISHMENT, Kind.REPORT):
                assert connected
            elif kind == Kind.RELEASE:
                assert connected
                connected = False


def test_a_refusal_holds_from_access_to_release_and_changes_nothing_else():
    """Of one handset after the other; an update of the area may be of a connection or of none."""
    sets = OUTAGES, "probe.grade=mdt"
    refusing, plain = cohort_events(*sets, REFUSING), cohort_events(*sets)
    flags = refusing["flags"].copy()
    refusing["flags"] = 0
    assert refusing.tobytes() == plain.tobytes() and set(flags.tolist()) == {0, REFUSES}
    assert cohort_events(*sets, "traffic.refusing_share=1")["flags"].any() and not plain["flags"].any()
    opened, refused = 0, 0
    for subscriber in np.unique(plain["subscriber"]):
        mine, now = plain["subscriber"] == subscriber, 0
        for kind, flag in zip(plain["kind"][mine], flags[mine], strict=True):
            if kind in (Kind.SERVICE_REQUEST, Kind.PAGING_RESPONSE):
                now, opened, refused = flag, opened + 1, refused + flag
            elif kind != Kind.TAU:
                connected = kind in (Kind.HANDOVER, Kind.REESTABLISHMENT, Kind.REPORT, Kind.RELEASE)
                assert flag == connected * now
            now *= kind != Kind.RELEASE
    assert refused / opened == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / opened))


def test_who_sits_still_speaks_every_54_minutes():
    events = cohort_events("traffic.sessions_per_day=0.001", "world.hours=8", "world.start=2026-05-12T00:00",
                           "traffic.switch_off_share=0", "traffic.outage_every_days=10000")  # fmt: skip
    night = events[events["kind"] == Kind.TAU_PERIODIC]
    assert len(np.unique(night["subscriber"])) == 24
    for subscriber in np.unique(night["subscriber"]):
        mine = events[events["subscriber"] == subscriber]
        assert np.all(np.diff(mine["time_ms"]) <= PERIODIC_MS)


@pytest.mark.parametrize("share, expected", [("0", 0), ("1", 1)])
def test_who_switches_off_says_goodbye_and_is_silent(share, expected):
    events = cohort_events(
        f"traffic.switch_off_share={share}", "world.start=2026-05-12T21:00", "world.hours=11"
    )
    gone = {s: t for t, s in events[events["kind"] == Kind.DETACH][["time_ms", "subscriber"]].tolist()}
    back = {s: t for t, s in events[events["kind"] == Kind.ATTACH][["time_ms", "subscriber"]].tolist()}
    assert (len(gone) > 15) == bool(expected) and (expected or not gone)
    for subscriber, since in gone.items():
        mine = events[events["subscriber"] == subscriber]["time_ms"]
        assert not np.any((mine > since) & (mine < back.get(subscriber, 1 << 62)))
