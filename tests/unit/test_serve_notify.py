"""Messages: tried again, given up aloud, and taken by servers that are really there."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from haechi.config.serve import ChannelConfig, RuleConfig, ServeConfig
from haechi.serve import notify
from haechi.serve.notify import DeliveryError, Notifier, deliver_by_apprise
from haechi.serve.plane import Plane
from tests.integration.sink_room import free_ports

PATIENCE_S = 20.0
HOOK = ChannelConfig(name="hook", url="json://127.0.0.1:1/x")


class Flaky:
    """Fails so many times, then takes everything."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.taken: list[tuple[str, str, str]] = []

    def __call__(self, url: str, title: str, body: str, kind: str) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise DeliveryError("nobody answers")
        self.taken.append((title, body, kind))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.005)


def run_notifier(notifier: Notifier, told: int, ended: Callable[[], bool], close: bool = False) -> None:
    async def scene() -> None:
        task = asyncio.create_task(notifier.run())
        for n in range(told):
            notifier.tell("loss_high", f"storm-{n}", "fired", "high", f"storm-{n}: loss")
        await until(ended)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if close:
            await notifier.close(0.5)

    asyncio.run(scene())


def notifier_of(deliver: Flaky, attempts: int = 3, *channels: ChannelConfig) -> Notifier:
    clock = asyncio.new_event_loop().time
    return Notifier(channels or (HOOK,), attempts, 0.01, clock, deliver)


def test_a_message_is_delivered() -> None:
    deliver = Flaky(0)
    notifier = notifier_of(deliver)
    run_notifier(notifier, 1, lambda: bool(deliver.taken))
    assert deliver.taken == [("haechi: loss_high fired", "storm-0: loss", "failure")]
    (note,) = notifier.latest(10)
    assert (note.state, note.attempts, note.error) == ("delivered", 1, None)
    assert notifier.pending == 0
    assert "url" not in note.view()


def test_a_message_is_tried_again() -> None:
    deliver = Flaky(2)
    notifier = notifier_of(deliver)
    run_notifier(notifier, 1, lambda: notifier.pending == 0)
    (note,) = notifier.latest(10)
    assert (note.state, note.attempts) == ("delivered", 3)
    assert notifier.counts == {"delivered": 1, "failed": 0}


def test_a_message_that_is_given_up_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    notifier = notifier_of(Flaky(99))
    run_notifier(notifier, 1, lambda: notifier.pending == 0)
    (note,) = notifier.latest(10, "failed")
    assert (note.state, note.attempts, note.error) == ("failed", 3, "nobody answers")
    assert "not delivered to hook: storm-0: loss (nobody answers)" in capsys.readouterr().err


def test_what_still_waits_at_the_end_is_tried_once_more_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    notifier = Notifier((HOOK,), 5, 1000.0, asyncio.new_event_loop().time, Flaky(99))
    run_notifier(notifier, 1, lambda: notifier.latest(1)[0].attempts == 1, close=True)
    (note,) = notifier.latest(10)
    assert (note.state, note.attempts) == ("failed", 2)
    assert "not delivered to hook" in capsys.readouterr().err


def test_too_many_waiting_are_given_up_aloud(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PENDING_MAX", 3)

    async def scene() -> Notifier:
        notifier = notifier_of(Flaky(0))
        for n in range(5):
            notifier.tell("r", f"storm-{n}", "fired", "high", f"storm-{n}: loss")
        return notifier

    notifier = asyncio.run(scene())
    assert [note.state for note in notifier.latest(10)] == ["pending"] * 3 + ["failed"] * 2
    assert capsys.readouterr().err.count("more than 3 messages were waiting") == 2


def test_a_channel_gets_what_is_severe_enough_for_it() -> None:
    low = ChannelConfig(name="low", url="json://127.0.0.1:1/x")
    critical = ChannelConfig(name="critical", url="json://127.0.0.1:1/x", at_least="critical")
    deliver = Flaky(0)
    notifier = notifier_of(deliver, 1, low, critical)
    run_notifier(notifier, 1, lambda: notifier.pending == 0)
    assert [note.channel for note in notifier.latest(10)] == ["low"]


class Hook(BaseHTTPRequestHandler):
    """A receiver of webhooks that is out of order for its first request."""

    got: list[dict[str, Any]]
    failures: int

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if type(self).failures > 0:
            type(self).failures -= 1
            self.send_response(503)
        else:
            type(self).got.append(json.loads(body))
            self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


def test_a_webhook_is_really_called() -> None:
    handler = type("OneHook", (Hook,), {"got": [], "failures": 1})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            url = f"json://127.0.0.1:{server.server_port}/haechi"
            notifier = notifier_of(
                deliver_by_apprise,  # type: ignore[arg-type]
                3,
                ChannelConfig(name="hook", url=url),
            )
            run_notifier(notifier, 1, lambda: notifier.pending == 0)
        finally:
            server.shutdown()
            thread.join()
    (note,) = notifier.latest(10)
    assert (note.state, note.attempts) == ("delivered", 2)
    (got,) = handler.got  # type: ignore[attr-defined]
    assert got["title"] == "haechi: loss_high fired"
    assert got["message"] == "storm-0: loss"
    assert got["type"] == "failure"


class Mailbox:
    def __init__(self) -> None:
        self.got: list[tuple[list[str], str]] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
        self.got.append((envelope.rcpt_tos, envelope.content.decode("utf-8", "replace")))
        return "250 taken"


def test_mail_is_really_sent() -> None:
    mailbox = Mailbox()
    (port,) = free_ports(1)
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        url = f"mailto://127.0.0.1:{port}?from=haechi@example.org&to=ops@example.org&mode=insecure"
        deliver_by_apprise(url, "haechi: loss_high fired", "storm-1: loss", "failure")
    finally:
        controller.stop()
    ((recipients, text),) = mailbox.got
    assert recipients == ["ops@example.org"]
    assert "Subject: haechi: loss_high fired" in text


def test_why_it_was_not_taken_is_said_without_the_url() -> None:
    url = "json://user:secret@127.0.0.1:1/haechi"
    with pytest.raises(DeliveryError) as failed:
        deliver_by_apprise(url, "title", "text", "failure")
    assert "secret" not in str(failed.value)
    assert str(failed.value)
    with pytest.raises(DeliveryError, match="none that Apprise knows"):
        deliver_by_apprise("nonsense://x", "title", "text", "failure")


def test_a_rule_of_the_plane_reaches_a_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = RuleConfig(name="cpu", metric="cpu_percent", above=80, cooldown=0)
    config = ServeConfig(rules=(rule,), channels=(HOOK,))

    async def scene() -> Plane:
        plane = Plane(config)
        cpu = 90.0
        monkeypatch.setattr("psutil.cpu_percent", lambda: cpu)
        plane.tick()
        plane.tick()
        cpu = 10.0
        plane.tick()
        return plane

    plane = asyncio.run(scene())
    assert [(event["event"], event["subject"]) for event in plane.events] == [
        ("fired", "host"),
        ("recovered", "host"),
    ]
    assert [note.event for note in plane.notifier.latest(10)] == ["recovered", "fired"]
    assert plane.notifier.latest(1)[0].text == "host: cpu_percent has recovered: 10"


def test_a_message_given_up_while_it_is_tried_stays_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "PENDING_MAX", 1)
    begun, go_on = threading.Event(), threading.Event()

    def fail(*_: str) -> None:
        begun.set()
        go_on.wait(PATIENCE_S)
        raise ValueError("a plugin's own mistake")

    async def scene() -> Notifier:
        notifier = Notifier((HOOK,), 1, 0.01, asyncio.get_running_loop().time, fail)
        task = asyncio.create_task(notifier.run())
        notifier.tell("r", "storm-1", "fired", "high", "first")
        await until(begun.is_set)
        notifier.tell("r", "storm-1", "recovered", "high", "second")
        go_on.set()
        await until(lambda: notifier.pending == 0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return notifier

    second, first = asyncio.run(scene()).latest(2)
    assert (first.state, first.error) == ("failed", "more than 1 messages were waiting")
    assert (second.state, second.error) == ("failed", "ValueError")
