"""Increments of counters: nothing counted twice, nothing made up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deploy_guard.signals.counters import AGGREGATE, LAG, Counters, Increments, Series

ERRORS, REQUESTS = Series("p", "errors"), Series("p", "requests")


def never(_pod: str) -> bool:
    return False


def always(_pod: str) -> bool:
    return True


def plain(increments: Increments) -> dict[str, dict[str, float]]:
    return {
        pod: {part: growth.total for part, growth in parts.items()}
        for pod, parts in increments.items()
    }


def test_the_first_total_of_a_pod_with_a_past_is_only_a_start() -> None:
    """A counter that was there before the watch has no increment on the first look."""
    counters = Counters()
    assert plain(counters.advance({REQUESTS: 1000.0}, began_at_zero=never)) == {}
    assert plain(counters.advance({REQUESTS: 1003.0}, began_at_zero=never)) == {
        "p": {"requests": 3.0}
    }


def test_a_pod_born_under_watch_counts_from_zero() -> None:
    """All that a new pod's counter shows is increment."""
    assert plain(Counters().advance({REQUESTS: 7.0}, began_at_zero=always)) == {
        "p": {"requests": 7.0}
    }


def test_a_counter_that_fell_began_anew() -> None:
    """After a restart the total itself is the increment."""
    counters = Counters()
    counters.advance({REQUESTS: 100.0}, began_at_zero=never)
    assert plain(counters.advance({REQUESTS: 4.0}, began_at_zero=never)) == {"p": {"requests": 4.0}}


def test_a_replica_that_is_behind_is_no_restart() -> None:
    """Two Prometheus behind one address differ a little; nothing is counted twice for that."""
    counters, counted = Counters(), 0.0
    counters.advance({REQUESTS: 1000.0}, began_at_zero=never)
    for total in (998.0, 1010.0, 1004.0, 1020.0):
        increments = counters.advance({REQUESTS: total}, began_at_zero=never)
        counted += increments["p"]["requests"].total
    assert counted == 20.0


def test_parts_of_one_process_begin_anew_together() -> None:
    """Errors that grew past their old total in a restarted process all belong to the new one."""
    counters = Counters()
    counters.advance({REQUESTS: 100.0, ERRORS: 1.0}, began_at_zero=never)
    grown = counters.advance({REQUESTS: 9.0, ERRORS: 5.0}, began_at_zero=never)
    assert plain(grown) == {"p": {"requests": 9.0, "errors": 5.0}}


def test_a_part_away_during_a_restart_comes_back_from_zero() -> None:
    """A process without errors yet shows no error counter; its later total is all new."""
    counters = Counters()
    counters.advance({REQUESTS: 100.0, ERRORS: 5.0}, began_at_zero=never)
    counters.advance({REQUESTS: 9.0}, began_at_zero=never)
    grown = counters.advance({REQUESTS: 20.0, ERRORS: 7.0}, began_at_zero=never)
    assert plain(grown) == {"p": {"requests": 11.0, "errors": 7.0}}


def test_a_new_series_of_a_known_pod_began_at_zero() -> None:
    """The first error of a pod is counted, and told apart as just born."""
    counters = Counters()
    counters.advance({REQUESTS: 100.0}, began_at_zero=never)
    grown = counters.advance({REQUESTS: 110.0, ERRORS: 2.0}, began_at_zero=never)
    assert plain(grown) == {"p": {"requests": 10.0, "errors": 2.0}}
    assert grown["p"]["errors"].born == 2.0


def test_a_pod_read_without_the_metric_is_known() -> None:
    """A pod that answered without the metric has it from zero when it appears."""
    counters = Counters()
    assert plain(counters.advance({}, began_at_zero=always, present=["p"])) == {"p": {}}
    assert plain(counters.advance({REQUESTS: 3.0}, began_at_zero=never)) == {"p": {"requests": 3.0}}


def test_a_gap_loses_nothing_and_counts_nothing_twice() -> None:
    """A series that was away for some looks grows by the difference when it is back."""
    counters = Counters()
    counters.advance({REQUESTS: 100.0}, began_at_zero=never)
    assert plain(counters.advance({}, began_at_zero=never)) == {}
    assert plain(counters.advance({REQUESTS: 130.0}, began_at_zero=never)) == {
        "p": {"requests": 30.0}
    }


def test_a_sum_that_fell_counts_nothing() -> None:
    """A sum over pods falls when one of them goes: neither its total nor a part is increment."""
    counters = Counters()
    total, failed = Series(AGGREGATE, "requests"), Series(AGGREGATE, "errors")
    counters.advance({total: 1000.0, failed: 10.0}, began_at_zero=never)
    assert plain(counters.advance({total: 700.0, failed: 12.0}, began_at_zero=never)) == {}
    assert plain(counters.advance({total: 710.0, failed: 12.0}, began_at_zero=never)) == {
        AGGREGATE: {"requests": 10.0, "errors": 0.0}
    }


# What a process counts before each look, whether it restarts before that, whether the look works.
lives = st.lists(st.tuples(st.integers(1, 50), st.booleans(), st.booleans()), max_size=30)


@given(lives)
def test_increments_add_up_to_what_happened(life: list[tuple[int, bool, bool]]) -> None:
    """Whatever restarts and looks that fail, no increment is lost or made up.

    Of a restart, only what no look ever saw is beyond knowledge: here it comes right after a look.
    """
    counters, total, looked, happened, counted = Counters(), 0.0, 0.0, 0.0, 0.0
    for grown, restarts, works in [*life, (0, False, True)]:
        if restarts and works and total == looked and grown < total * (1 - LAG):
            total = 0.0
        total += grown
        happened += grown
        if works:
            increments = counters.advance({REQUESTS: total}, began_at_zero=always)
            counted += increments["p"]["requests"].total
            looked = total
    assert counted == happened
