"""Regular expressions: what is refused by name, and that Python finds what the engine's syntax means."""

from __future__ import annotations

import pytest

from haechi.rules.pattern import PatternError, check, compile_bytes

REFUSED = [
    ("a(?=b)", "look-ahead (?=...) is not possible in one pass (character 2 of"),
    ("a(?!b)", "look-ahead (?!...)"),
    ("(?<=a)b", "look-behind (?<=...)"),
    ("(?<!a)b", "look-behind (?<!...)"),
    (r"(a)\1", r"\1 is a back-reference"),
    (r"(?P<n>a)(?P=n)", "a back-reference (?P=...)"),
    (r"(?P<n>a)\k<n>", r"\k is a back-reference"),
    (r"(a)\g{1}", r"\g is a back-reference"),
    ("(?>a)b", "an atomic group (?>...)"),
    ("a++", "++ is possessive"),
    ("a{2}+", "{2}+ is possessive"),
    ("(a)?(?(1)b|c)", "a condition (?(...)...)"),
    ("(?R)a", "recursion"),
    ("(a)(?1)", "recursion"),
    ("(?&n)", "recursion"),
    ("(*UTF8)a", "verbs (*...) are not possible"),
    ("(?x) a", "(?x) is not possible"),
    (r"\Ka", r"\K resets the match's beginning"),
    (r"\X", r"\X stands for Unicode characters"),
    (r"\p{Lu}", r"\p is a property of Unicode"),
    (r"a\Nb", r"\N is not known; write [^\n]"),
    (r"\yx", r"\y is not known"),
    (r"[\z]", r"\z is not possible within [...]"),
    (r"\x{100}", r"\x{100} is more than a byte"),
    ("é+", "é is several bytes; write (?:é) before +"),
    ("é{2}", "é is several bytes"),
    ("[é]", "é is several bytes, and [...] stands for one"),
    ("[[:^alpha:]]", "[:^alpha:] is not known"),
    ("[[:word:]", "[ is not closed"),
    ("[abc", "[ is not closed"),
    ("(abc", "a group ( is not closed"),
    ("abc)", "a ) closes no group"),
    ("abc\\", "ends in a lone \\"),
    ("[abc\\", "ends in a lone \\"),
    ("(?#abc", "a comment (?#...) is not closed"),
    ("a{40000}", "{40000} repeats more than 32767 times"),
    ("*a", "nothing to repeat"),
    ("b-[z-a]", "bad character range"),
    ("a*", "fits an empty text too"),
    ("^$", "fits an empty text too"),
    ("(a|)", "fits an empty text too"),
]


@pytest.mark.parametrize(("pattern", "sentence"), REFUSED)
def test_what_is_refused(pattern: str, sentence: str) -> None:
    with pytest.raises(PatternError) as refused:
        check(pattern)
    assert sentence in str(refused.value)


FINDS = [
    (r"a{1,3}b", b"aab", b"b"),
    (r"x{,3}", b"x{,3}", b"xxx"),  # no quantifier in PCRE
    (r"\bcat\b", b"a cat sat", b"concatenate"),
    (r"^\d+$", b"123", b"12a"),
    (r"end\z", b"the end", b"the end\n"),
    (r"end\Z", b"the end\n", b"the end\n\n"),
    (r"\Astart", b"start", b"a start"),
    (r"\h\H", b"\tx", b"\t\t"),
    (r"a\vb", b"a\nb", b"a b"),
    (r"\e\[31m", b"\x1b[31m", b"[31m"),
    (r"\cA", b"\x01", b"A"),
    (r"\x41\x{42}\0103", b"AB\x083", b"ABC"),
    (r"\Qa.b*\Ec", b"a.b*c", b"axbc"),
    (r"\Qa.b", b"a.b", b"axb"),
    (r"[[:upper:]][[:digit:]_]", b"A_", b"a1"),
    (r"[]a]x", b"]x", b"bx"),
    (r"[^]a]x", b"bx", b"]x"),
    (r"[[a&&b~~|]-x", b"[-x", b"c-x"),
    (r"[\d-]z", b"-z", b"az"),
    (r"a(?i)b|c", b"C", b"A"),
    (r"(a(?i)b)c", b"aBc", b"aBC"),
    (r"(?i)foo(?-i)Bar", b"FOOBar", b"foobar"),
    (r"(?i:f)oo", b"Foo", b"FOO"),
    (r"(?s)a.b", b"a\nb", b"ab"),
    (r"a.b", b"a\xffb", b"a\nb"),
    (r"(?m)^b$", b"a\nb\nc", b"abc"),
    (r"(?<name>a)(?P<other>b)", b"ab", b"ba"),
    (r"a(?#no more)b", b"ab", b"a(?#no more)b"),
    (r"é(?:ü)+", "éüü".encode(), "eü".encode()),
    (r"\.\-\/\é", ".-/é".encode(), b"x"),
    (r"a+?b", b"aab", b"ac"),
    (r"[\101\b]\.", b"A.", b"B."),
]


@pytest.mark.parametrize(("pattern", "found", "not_found"), FINDS)
def test_what_is_found(pattern: str, found: bytes, not_found: bytes) -> None:
    compiled = compile_bytes(pattern)
    assert compiled.search(found)
    assert not compiled.search(not_found)


def test_case_is_of_ascii_alone() -> None:
    assert compile_bytes("ab", True).search(b"AB")
    assert not compile_bytes("é", True).search("É".encode())
    assert not compile_bytes(r"\w\w\wx").search("éx".encode())  # no byte of é is a word's
