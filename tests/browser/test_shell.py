"""The page's shell: tabs, words, colours, keys, the token, a connection that is lost, texts of others."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NARROW, WIDE, Board, Open
from tests.integration.serve_room import Serving, serving

WORDS = Path(__file__).resolve().parents[2] / "src" / "haechi" / "page" / "words"
TABS = ("storm", "detect", "trials")
KEY = re.compile(r"\b(?:shell|storm|detect|trials)\.[a-z]\w*")


def words(language: str, part: str = "shell") -> dict[str, str]:
    found: dict[str, str] = json.loads((WORDS / language / f"{part}.json").read_text())
    return found


def seen(board: Board) -> str:
    """Everything that is to be read, tooltips and labels included."""
    script = """() => {
        const told = [...document.querySelectorAll("[title], [aria-label], [placeholder]")];
        const hints = told.flatMap((node) => [node.title, node.ariaLabel, node.placeholder]);
        return [document.title, document.body.innerText, ...hints].filter(Boolean).join("\\n");
    }"""
    text: str = board.page.evaluate(script)
    return text


def tab(board: Board, name: str) -> None:
    board.page.click(f"#tab-{name}")
    board.until(f"performance.getEntriesByName('haechi-{name}').length > 0")
    expect(board.page.locator(f"#panel-{name}")).to_be_visible()


def test_it_opens_with_the_connection_up(open_board: Open) -> None:
    board = open_board()
    board.live()
    expect(board.page.locator("#tab-storm")).to_have_attribute("aria-selected", "true")
    assert board.text("#connection") == words("en")["connection.open"]


def test_every_tab_opens_and_says_no_bare_key(open_board: Open) -> None:
    board = open_board(locale="ko-KR")
    for name in TABS:
        tab(board, name)
        assert KEY.findall(seen(board)) == []
    assert board.page.evaluate("location.hash") == "#trials"


def test_the_language_is_the_browsers_and_can_be_switched(open_board: Open) -> None:
    board = open_board(locale="ko-KR")
    board.live()
    assert board.page.evaluate("document.documentElement.lang") == "ko"
    assert board.text("#tab-storm") == words("ko")["tab.storm"]
    board.page.select_option("#language", "en")
    expect(board.page.locator("#tab-storm")).to_have_text(words("en")["tab.storm"])
    assert board.text("#connection") == words("en")["connection.open"]
    korean = re.findall(r"[가-힣]+", seen(board).replace("한국어", ""))
    assert korean == []
    board.page.reload()
    expect(board.page.locator("#tab-storm")).to_have_text(words("en")["tab.storm"])


def test_colours_are_the_systems_and_can_be_switched(open_board: Open) -> None:
    board = open_board(color_scheme="light")
    board.page.wait_for_selector("#theme")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = board.page.evaluate(ground)
    board.page.click("#theme")
    assert board.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert board.page.evaluate(ground) != light
    board.page.reload()
    board.page.wait_for_selector("#theme")
    assert board.page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_tabs_and_dialogs_with_the_keyboard_alone(open_board: Open) -> None:
    board = open_board()
    board.live()
    page = board.page
    page.keyboard.press("Tab")  # to the link that skips the head
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#tab-storm")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("location.hash") == "#detect"
    assert page.evaluate("document.activeElement.id") == "tab-detect"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) != "none"
    page.keyboard.press("End")
    assert page.evaluate("location.hash") == "#trials"
    page.keyboard.press("1")
    assert page.evaluate("location.hash") == "#storm"
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_be_visible()
    for _ in range(8):  # the focus stays in the dialog
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.keyboard.press("2")  # single keys are off
    assert page.evaluate("location.hash") == "#storm"


def test_the_event_log_opens_and_closes(open_board: Open, plane: Serving) -> None:
    board = open_board()
    board.live()
    board.page.keyboard.press("e")
    expect(board.page.locator("#log")).to_be_visible()
    events = plane.get("/events", limit=50)["events"]
    expect(board.page.locator(".log-row")).to_have_count(len(events))
    board.page.keyboard.press("Escape")
    expect(board.page.locator("#log")).to_be_hidden()
    assert board.page.evaluate("document.activeElement.id") == "open-log"


def test_a_server_without_an_event_log_is_no_error(open_board: Open) -> None:
    board = open_board(expected=("404",))
    board.page.route("**/events?*", lambda route: route.fulfill(status=404, json={"detail": "Not Found"}))
    board.page.click("#open-log")
    expect(board.page.locator("#log .empty")).to_have_text(words("en")["log.none_kept"])


@pytest.mark.parametrize("language", ["en-US", "ko-KR"])
def test_nothing_is_wider_than_a_phone(open_board: Open, language: str, tmp_path: Path) -> None:
    for size in ({"width": 360, "height": 740}, NARROW, WIDE):
        board = open_board(viewport=size, locale=language)
        board.live()
        for name in TABS:
            tab(board, name)
            board.page.screenshot(path=tmp_path / f"{name}-{size['width']}.png", full_page=True)
            assert board.overflow() == 0, f"{name} at {size['width']} px"


def test_a_rule_that_fires_stands_in_the_head(open_board: Open, tmp_path: Path) -> None:
    rule = {"name": "memory_high", "metric": "memory_gb", "above": 0, "severity": "low"}
    with serving(tmp_path, rules=[rule]) as other:
        board = open_board(url=other.url)
        badge = board.page.locator("#firing .badge")
        expect(badge).to_have_text(words("en")["rule.memory_high"])
        expect(badge).to_have_attribute("data-kind", "low")  # as the server's rules say
        board.until("document.title.startsWith('(1)')")


def test_the_token_is_asked_for_once(open_board: Open, tmp_path: Path) -> None:
    with serving(tmp_path, demand_token=True) as other:
        board = open_board(url=other.url, expected=("401",))
        page = board.page
        page.wait_for_selector("#session[open]")
        page.fill("#session-token", "no such token, and yet as long as one")
        page.keyboard.press("Enter")
        expect(page.locator("#session .wrong")).to_have_text(words("en")["session.wrong"])
        page.fill("#session-token", (tmp_path / "state" / "token").read_text().strip())
        page.keyboard.press("Enter")
        board.live()
        assert page.locator("#session").count() == 0
        assert page.evaluate("document.cookie") == ""  # HttpOnly
        again = open_board(url=other.url, context=page.context)
        again.live()


def test_a_connection_that_is_lost_and_comes_back(open_board: Open, tmp_path: Path) -> None:
    with serving(tmp_path / "first") as first:
        board = open_board(url=first.url)
        board.live()
        first.end(signal.SIGKILL)
        board.page.wait_for_selector("#lost:not([hidden])")
        assert board.page.locator("#connection").get_attribute("data-state") == "lost"
        assert board.page.evaluate("document.body.dataset.connection") == "lost"
        port = first.port
    with serving(tmp_path / "second", port=port):
        board.live()
        expect(board.page.locator("#lost")).to_be_hidden()


def test_figures_of_a_server_that_stands_still_are_stale(open_board: Open, tmp_path: Path) -> None:
    with serving(tmp_path) as other:
        board = open_board(url=other.url)
        board.live()
        other.process.send_signal(signal.SIGSTOP)
        try:
            board.page.wait_for_selector('#connection[data-state="stale"]')
            board.page.wait_for_selector("#lost:not([hidden])")
        finally:
            other.process.send_signal(signal.SIGCONT)
        board.live()


def test_texts_of_others_are_text(open_board: Open, tmp_path: Path) -> None:
    """The name of a profile's file, and what the server says of it."""
    evil = "<img src=x onerror=alert(1)>.yaml"
    files = tmp_path / "files"
    files.mkdir()
    source = Path(__file__).resolve().parents[2] / "src" / "haechi" / "profiles" / "system.yaml"
    (files / evil).write_bytes(source.read_bytes())
    with serving(tmp_path / "serve", read=[str(files)]) as other:
        wish = {"target": "127.0.0.1", "ports": "26990", "eps": 10, "profile": evil, "workers": 1}
        other.post("/storms", wish)
        board = open_board(url=other.url)
        facts = board.page.locator(".bar-facts")
        expect(facts).to_contain_text(evil)
        assert board.page.locator(".bar-facts img").count() == 0
        board.page.keyboard.press("n")
        board.page.fill("#storm-form-target", "<script>alert(1)</script>")
        board.page.keyboard.press("Enter")
        wrong = board.page.locator("dialog .wrong")
        expect(wrong).to_contain_text("<script>alert(1)</script>")
        assert wrong.locator("script").count() == 0
