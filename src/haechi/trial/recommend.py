"""What follows from a report's figures, each by a rule with a name (docs/trials.md has the table)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SHORT_OF_RATE = 0.99
BUSY = 0.85
LATE = 0.05
SLOW_S = 0.010
FULL_MEMORY = 0.9
POOR = 0.9

Report = Mapping[str, Any]
Advice = tuple[str, str]  # the rule's name, and a sentence


def recommendations(report: Report) -> list[Advice]:
    if report.get("search") is not None:
        return list(_of_search(report))
    figures = report["figures"]
    if not figures.get("sent"):
        return []
    found = [*_of_loss(report), *_of_rate(figures), *_of_time(figures), *_of_scores(report)]
    memory, total = figures.get("memory"), report["host"].get("memory_gb")
    if memory and total and memory > FULL_MEMORY * total * 1e9:
        found.append(
            ("memory", f"{memory / 1e9:.1f} of {total:g} GB of memory were in use: give the machine more.")
        )
    return found


def _of_loss(report: Report) -> Iterator[Advice]:
    account = report["account"]
    lost, sent = account["lost"] or 0, max(1, account["sent"])
    shed = account.get("shed") or 0  # reports of before it was kept have none
    kernel, elsewhere = account["kernel_dropped"] or 0, account["lost_elsewhere"] or 0
    if shed:
        yield (
            "shed",
            f"The detector let {shed:,} messages go ({shed / sent:.3%}) after its queues overflowed: give "
            "it more workers or a machine of its own, ask less of it (detectors, rules), or send less.",
        )
    if lost and kernel >= elsewhere and kernel:
        yield (
            "kernel_dropped",
            f"The kernel dropped {kernel:,} messages ({kernel / sent:.3%}) at full receive buffers: raise "
            "net.core.rmem_max and buffer_bytes (haechi tune shows how), or give the target more workers.",
        )
    if elsewhere:
        yield (
            "lost_elsewhere",
            f"{elsewhere:,} messages were lost on the way, not in the receiver's buffers: see whether it "
            "listened on every port from the beginning, and what lies between.",
        )
    if report["target"]["kind"] == "other" and lost:
        yield (
            "receiver_lost",
            f"The receiver's count lacks {lost:,} of {sent:,} events: look at its queues and at the kernel's "
            "drops of its sockets (ss -u -a -m).",
        )
    if account["closed"] is False:
        yield (
            "account_open",
            "The account is not closed: a sender never said how much it had sent, and the loss is a least.",
        )


def _of_rate(figures: Mapping[str, Any]) -> Iterator[Advice]:
    achieved, cpu = figures.get("achieved_ratio"), figures.get("cpu")
    if achieved is not None and achieved < SHORT_OF_RATE:
        short = f"Only {achieved:.1%} of the rate was sent"
        if cpu is not None and cpu > BUSY:
            yield (
                "machine_busy",
                f"{short} while the processors were {cpu:.0%} busy: the machine is at its end. Put storm and "
                "receiver on machines of their own, or ask for less.",
            )
        else:
            yield (
                "storm_short",
                f"{short} with processors to spare: give the storm more workers, or longer turns (burst_us).",
            )
    if figures.get("errors"):
        yield ("send_errors", f"{figures['errors']:,} sends failed: see whether the receiver is there.")


def _of_time(figures: Mapping[str, Any]) -> Iterator[Advice]:
    late, p99 = figures.get("late_ratio"), figures.get("latency_p99")
    if late is not None and late > LATE:
        yield (
            "late",
            f"{late:.1%} of the events left more than 1 ms after they were due: pin the storm's workers to "
            "processors that nobody else has (storm.pin).",
        )
    if p99 is not None and p99 > SLOW_S:
        yield (
            "latency",
            f"One event in a hundred took {p99 * 1e3:,.1f} ms or longer: the receiver is near its limit, or "
            "shares its processors.",
        )


def _of_scores(report: Report) -> Iterator[Advice]:
    detection = report["detection"]
    if detection is None or not detection["episodes"]:
        return
    if detection["recall"] < POOR:
        yield (
            "recall",
            f"{detection['episodes'] - detection['found']:,} of {detection['episodes']:,} anomalies were not "
            "found: train on more lines of what is normal, and see which kinds were missed.",
        )
    if detection["precision"] < POOR:
        yield (
            "precision",
            f"{detection['false_sessions']:,} sessions were alerted on for nothing: train on more lines, or "
            "with a smaller false-alarm budget.",
        )


def _of_search(report: Report) -> Iterator[Advice]:
    search = report["search"]
    if search["ndr"] is None and search["pdr"] is None:
        yield ("search_low", "Not even the lowest rate was carried: search from a lower one.")
    if search["ndr"] is not None and search["ndr"]["at_least"]:
        yield ("search_high", "The highest rate was carried without loss: search up to a higher one.")
    if search["storm_short"]:
        yield (
            "storm_short",
            "Some rates were never offered: what was found there is the storm's limit on this machine, not "
            "the receiver's.",
        )
