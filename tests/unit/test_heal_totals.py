"""What several processes have done in all, and what nobody can know."""

from __future__ import annotations

from typing import Any

from haechi.heal.totals import sink_counters, sink_in_all, storm_in_all, storm_of_page, tool_in_all

ROW = dict.fromkeys("events bytes controls errors sends late_events refused reconnects".split(), 0)


def row(port: int, events: int, received: int, dropped: int = 0, reported: int = 1) -> dict[str, int]:
    told = {"received": received, "dropped": dropped, "reported": reported}
    return {**ROW, "port": port, "worker": 0, "events": events, "bytes": 10 * events, **told}


def summary(events: int, received: int | None, dropped: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "events": events,
        "bytes": 10 * events,
        "seconds": 10.0,
        "eps": events / 10,
        "eps_peak": events / 5,
        "offered_eps": 100.0,
        "reported": received is not None,
        "received": received,
        "kernel_dropped": dropped if received is not None else None,
        "workers": 2,
        "ports": [],
        **more,
    }


def test_one_process_is_as_it_says() -> None:
    assert storm_in_all([], summary(100, 90)) == summary(100, 90)


def test_what_a_killed_storm_sent_after_the_last_report_is_neither_received_nor_lost() -> None:
    page = storm_of_page(
        [row(5514, 600, 500, 20), row(5515, 400, 400)], {"episodes": 3}, ("127.0.0.1",), 10.0
    )
    assert (page["events"], page["received"], page["kernel_dropped"]) == (1000, 900, 20)
    assert page["unreported"] == 80
    whole = storm_in_all([page], summary(2000, 1990, 10))
    assert (whole["events"], whole["received"], whole["kernel_dropped"]) == (3000, 2890, 30)
    assert whole["lost"] == 30
    assert whole["loss_ratio"] == 30 / 2920
    assert (whole["restarts"], whole["exact"], whole["workers"]) == (1, False, 2)
    assert whole["eps"] == 150
    assert [(port["port"], port["events"]) for port in whole["ports"]] == [(5514, 600), (5515, 400)]


def test_several_streams_of_a_port_are_told_the_same() -> None:
    rows = [row(5514, 50, 95), row(5514, 50, 90)]
    assert storm_of_page(rows, {}, ("127.0.0.1",), 1.0)["received"] == 95


def test_one_that_ended_as_asked_is_exact() -> None:
    whole = storm_in_all([summary(1000, 990)], summary(1000, 1000))
    assert (whole["exact"], whole["lost"], whole["unreported"]) == (True, 10, 0)


def test_without_reports_nothing_is_known_of_loss() -> None:
    whole = storm_in_all([summary(1000, None)], summary(1000, None))
    assert (whole["lost"], whole["loss_ratio"], whole["received"]) == (None, None, None)


def test_a_sink_that_took_anothers_place_is_not_believed_alone() -> None:
    whole = storm_in_all([], summary(2000, 500), told=(1900, 20))
    assert (whole["received"], whole["lost"], whole["unreported"]) == (1900, 20, 80)


def test_a_sink_begun_anew_is_told_of_what_its_predecessor_took() -> None:
    """The storm went on: its marks say 3,000, of which the first sink took 1,000 and the second 1,900."""
    first = {"received": 1000, "controls": 4, "sent": 990, "kernel_dropped": 0, "lost": 0, "killed": True}
    last = {
        "received": 1900,
        "controls": 8,
        "sent": 3000,
        "sent_bytes": 1,
        "sent_controls": 12,
        "kernel_dropped": 0,
        "lost": 1100,
        "lost_elsewhere": 1100,
        "loss_ratio": 0.4,
    }
    whole = sink_in_all([first], last)
    assert (whole["received"], whole["sent"], whole["lost_elsewhere"]) == (2900, 3000, 100)
    assert whole["loss_ratio"] == 100 / 3000
    assert whole["sent_bytes"] is None


def test_other_storms_at_the_next_sink_add_up() -> None:
    first = {"received": 1000, "sent": 1000, "kernel_dropped": 0, "lost": 0}
    assert sink_counters([first], {**first, "received": 90, "sent": 100, "lost": 10})["sent"] == 1100
    now = sink_counters([first], {**first, "received": 500, "sent": 1600, "lost": 1100})
    assert (now["sent"], now["lost"]) == (1600, 100)


def test_counters_of_a_detector_add_up_and_gauges_do_not() -> None:
    whole = tool_in_all([{"lines": 10, "sessions_open": 5, "killed": True}], {"lines": 7, "sessions_open": 2})
    assert whole == {"lines": 17, "sessions_open": 2, "restarts": 1, "exact": False}
