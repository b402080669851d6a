"""Python's re, as the reference uses it, finds what Hyperscan finds; what Hyperscan refuses is refused."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator

import pytest

from haechi.rules import rulefile
from haechi.rules.expression import RuleError
from haechi.rules.hyperscan import library, why_not
from haechi.rules.pattern import PatternError, compile_bytes
from haechi.rules.sigma_files import convert, read_documents
from tests.unit.test_rules_pattern import FINDS

pytestmark = pytest.mark.skipif(library() is None, reason="libhs.so.5 is not installed")

ATOMS = (
    r"a b B é . \d \w \s \S \W \b \B ^ $ \A \z \Z [ab] [^a] [[:upper:]] [\d-] \x41 \n \t (?i) (?-i) (?s) "
    r"(?m) (?i: (?: ( ) | * + ? {1,2} {,2} {2} \Q.\E \h \v (?#c) { } ] - \. \cA \e"
).split()
TEXTS = [
    b"a",
    b"ab",
    b"aB",
    b"AB\n",
    b"b a\nb",
    "aéb".encode(),
    b"1a-",
    b".\x01\x1b",
    b"{,2}",
    b"aaabbb",
    b" \t\xa0x",
    b"\nb\n",
    b"A]b}-",
]
ON_MATCH = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_uint, ctypes.c_ulonglong, ctypes.c_ulonglong, ctypes.c_uint, ctypes.c_void_p
)


def found_by_hyperscan(pattern: str, nocase: bool, texts: list[bytes]) -> Iterator[bool]:
    hs = library()
    assert hs is not None
    database, scratch, error = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    flags = 8 | (1 if nocase else 0)
    refused = hs.hs_compile(pattern.encode(), flags, 1, None, ctypes.byref(database), ctypes.byref(error))
    assert refused == 0, pattern
    assert hs.hs_alloc_scratch(database, ctypes.byref(scratch)) == 0
    for text in texts:
        hits: list[int] = []
        on_match = ON_MATCH(lambda number, *_, hits=hits: hits.append(number) or 0)
        assert hs.hs_scan(database, text, len(text), 0, scratch, on_match, None) == 0
        yield bool(hits)
    hs.hs_free_scratch(scratch)
    hs.hs_free_database(database)


@pytest.mark.parametrize(("pattern", "found", "not_found"), FINDS)
def test_the_same_is_found(pattern: str, found: bytes, not_found: bytes) -> None:
    assert list(found_by_hyperscan(pattern, False, [found, not_found])) == [True, False]


@pytest.mark.parametrize("seed", range(4))
def test_random_patterns(seed: int) -> None:
    draw = random.Random(seed)
    compared = 0
    while compared < 150:
        pattern, nocase = "".join(draw.choices(ATOMS, k=draw.randint(1, 6))), draw.random() < 0.3
        try:
            compiled = compile_bytes(pattern, nocase)
        except PatternError:
            continue
        if why_not(pattern, nocase):
            continue
        compared += 1
        for text, found in zip(TEXTS, found_by_hyperscan(pattern, nocase, TEXTS), strict=True):
            assert bool(compiled.search(text)) == found, (pattern, nocase, text)


def test_what_hyperscan_alone_refuses() -> None:
    assert why_not("a^b") == "Embedded start anchors not supported."
    assert why_not("ab") is None
    with pytest.raises(RuleError) as refused:
        rulefile.parse("- {id: a, deny: {message: {regex: 'a^b'}}}", "r.yaml")
    assert str(refused.value) == (
        "r.yaml:1: rule a: deny.message.regex: Hyperscan cannot take 'a^b': "
        "Embedded start anchors not supported"
    )


def test_a_rule_of_sigma_with_one_is_refused_and_no_mistake() -> None:
    text = "title: t\nlogsource: {product: linux}\ndetection: {s: {message|re: a$b}, condition: s}\n"
    rules, refused = convert([("t.yml", read_documents(text, "t.yml"))], {})
    assert not rules
    assert [(r.reason, r.mistake) for r in refused] == [
        ("regex: Hyperscan cannot take 'a$b': Embedded end anchors not supported", False)
    ]
