"""The page's files as they lie there: both languages say the same things, and nothing is in them that the
page's policy, or a reader with weak eyes, would refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "src" / "haechi" / "page"
PARTS = sorted(path.stem for path in (PAGE / "words" / "en").glob("*.json"))
SCRIPTS = sorted(PAGE.rglob("*.js"))
STYLES = sorted(PAGE.rglob("*.css"))
LITERAL = re.compile(r"""["'`]((?:shell|storm|detect|trials)\.[\w.]+)["'`]""")
MADE = re.compile(r"`((?:shell|storm|detect|trials)\.[\w.]*)\$\{")
# Files of the page, not words: "shell.json" and the like never stand in quotes beside words' keys.
NO_WORDS = {"detect.json", "trials.json", "storm.json", "shell.json"}


def words(language: str, part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PAGE / "words" / language / f"{part}.json").read_text())
    return found


def keys() -> set[str]:
    return {f"{part}.{key}" for part in PARTS for key in words("en", part)}


@pytest.mark.parametrize("part", PARTS)
def test_both_languages_have_the_same_words(part: str) -> None:
    english, korean = words("en", part), words("ko", part)
    assert list(english) == list(korean)
    for key, text in english.items():
        assert places(text) == places(korean[key]), key
        assert text and korean[key], key


def places(text: Any) -> set[str]:
    """What is filled in; of a word with a plural, in any of its forms."""
    forms = text.values() if isinstance(text, dict) else [text]
    return {name for form in forms for name in re.findall(r"\{(\w+)\}", form)}


def test_there_are_the_same_files_of_words() -> None:
    assert sorted(path.stem for path in (PAGE / "words" / "ko").glob("*.json")) == PARTS
    assert {"shell", "storm"} <= set(PARTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(PAGE).as_posix())
def test_every_word_that_is_used_is_there(script: Path) -> None:
    text, known = script.read_text(), keys()
    for key in set(LITERAL.findall(text)) - NO_WORDS:
        assert key in known, key
    for start in set(MADE.findall(text)):
        assert any(key.startswith(start) for key in known), start


@pytest.mark.parametrize("part", ["shell", "storm"])
def test_every_word_is_used(part: str) -> None:
    text = "\n".join(script.read_text() for script in SCRIPTS)
    used, starts = set(LITERAL.findall(text)), tuple(set(MADE.findall(text)))
    groups = tuple(f"shell.log.{group}." for group in ("kinds", "outcomes"))  # looked up as they come
    rest = {key for key in keys() if key.startswith(f"{part}.")} - used
    assert [key for key in sorted(rest) if not key.startswith(starts + groups)] == []


FORBIDDEN = {
    "markup out of text": r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc",
    "code out of text": r"\beval\(|new Function|setTimeout\(\s*[\"'`]",
    "what the policy refuses": r"style=|\.cssText|setAttribute\(\s*[\"']style",
    "another server": r"https?://(?!www\.w3\.org/2000/svg)",
    "a path that leaves the page's own digest": r"""(?:from|import\()\s*["'`]/""",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_script_has(what: str) -> None:
    for script in SCRIPTS:
        assert re.findall(FORBIDDEN[what], script.read_text()) == [], script.name


def test_the_document_has_no_script_or_style_of_its_own() -> None:
    text = (PAGE / "index.html").read_text()
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text) == []
    for name in re.findall(r'"@page/([^"]+)"', text):
        assert (PAGE / name).is_file(), name


def test_styles_come_from_here() -> None:
    for style in STYLES:
        assert re.findall(r"@import|url\(", style.read_text()) == [], style.name


def colours(theme: str) -> dict[str, str]:
    text = (PAGE / "styles" / "base.css").read_text()
    dark, light = re.findall(r":root(?:\[data-theme=\"light\"\])? \{(.*?)\n\}", text, re.DOTALL)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))
    return found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light)) if theme == "light" else found


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_has_the_contrast_of_wcag_aa(theme: str) -> None:
    known = colours(theme)
    pairs = [
        (ink, ground)
        for ink in ("text", "muted", "accent", "good", "warn", "bad", "critical")
        for ground in ("bg", "surface", "raised")
    ]
    for ink, ground in [*pairs, ("on-accent", "accent")]:
        dim, bright = sorted((luminance(known[ink]), luminance(known[ground])))
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, f"{ink} on {ground}"
