"""Regular expressions as Hyperscan takes them, checked here and translated for Python's re.

The engine searches bytes, without UTF-8 mode: a pattern is its UTF-8 bytes, `.` is one byte, and only ASCII
letters have two cases. Python's re over bytes does the same, but writes some things otherwise, and takes some
that a one-pass automaton cannot; the walk below refuses those by name and translates the rest.
"""

from __future__ import annotations

import functools
import re
import warnings

REPEAT_MAX = 32_767


class PatternError(ValueError):
    """A pattern that the engine cannot take; str() says what of it and where."""


_LOOK = {"=": "look-ahead", "!": "look-ahead", "<=": "look-behind", "<!": "look-behind"}
_REFUSED_ESCAPES = {
    "K": "resets the match's beginning",
    "G": "stands for the last match's end",
    "X": "stands for Unicode characters",
    "R": "stands for several kinds of line ends",
    "C": "stands for one byte of a character",
    "p": "is a property of Unicode, and lines are searched as bytes",
    "P": "is a property of Unicode, and lines are searched as bytes",
    "k": "is a back-reference",
    "g": "is a back-reference",
    "o": "is an octal number; \\x{..} is possible",
    "N": "is not known; write [^\\n]",
    "u": "is not known; \\x{..} is possible",
    "U": "is not known; \\x{..} is possible",
    "L": "is not known",
    "l": "is not known",
    "y": "is not known",
}
# Escapes that both know but Python writes otherwise: outside a class, and within one.
_TRANSLATED = {
    "h": ("[\\t \\xa0]", "\\t \\xa0"),
    "H": ("[^\\t \\xa0]", None),
    "v": ("[\\n-\\r\\x85]", "\\n-\\r\\x85"),
    "V": ("[^\\n-\\r\\x85]", None),
    "e": ("\\x1b", "\\x1b"),
    "z": ("\\Z", None),
    "Z": ("(?=\\n?\\Z)", None),
    "A": ("\\A", None),
    "B": ("\\B", None),
    "b": ("\\b", "\\b"),
}
_SAME = frozenset("dDsSwWtnrfa")
_POSIX = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": "\\t-\\r ",
    "blank": "\\t ",
    "punct": "!-/:-@\\[-`{-~",
    "print": " -~",
    "graph": "!-~",
    "cntrl": "\\x00-\\x1f\\x7f",
    "xdigit": "0-9a-fA-F",
    "word": "\\w",
}
_QUANTIFIER = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_FLAGS = re.compile(r"\(\?([ims]*)(?:-([ims]+))?([:)])")
_NAMED = re.compile(r"\(\?P?<([A-Za-z_]\w*)>")


def check(pattern: str, *, nocase: bool = False) -> None:
    """PatternError where the engine cannot take the pattern."""
    compile_bytes(pattern, nocase)


@functools.lru_cache(maxsize=4096)
def compile_bytes(pattern: str, nocase: bool = False) -> re.Pattern[bytes]:
    """The pattern for Python's re over bytes, which is to find what the engine finds."""
    translated = translate(pattern).encode("utf-8", "surrogatepass")
    compiled = re.compile(translated, re.IGNORECASE if nocase else 0)
    if compiled.search(b""):
        raise PatternError(f"{pattern!r:.80} fits an empty text too, so it would fit every line")
    return compiled


def translate(pattern: str) -> str:
    """The same in Python's words; PatternError where the engine or Python would not compile it."""
    translated = _Walk(pattern).run()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(translated.encode("utf-8", "surrogatepass"))
    except re.error as error:
        raise PatternError(f"{error.msg} (in {pattern!r:.80})") from None
    except (OverflowError, RecursionError) as error:
        raise PatternError(f"is too large ({error})") from None
    return translated


class _Walk:
    """One pass from left to right. Flags within a pattern, (?i), hold to the end of their group in PCRE,
    over its branches too; Python wants a group of their own, which is opened here anew after each `|`."""

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.at = 0
        self.out: list[str] = []
        self.open: list[list[str]] = [[]]  # of each open group: the flags that were set within it

    def run(self) -> str:
        while self.at < len(self.text):
            self.step()
        if len(self.open) > 1:
            raise PatternError("a group ( is not closed")
        self.out.append(")" * len(self.open[0]))
        return "".join(self.out)

    def step(self) -> None:
        c = self.text[self.at]
        if c == "\\":
            self.escape()
        elif c == "[":
            self.bracket()
        elif c == "(":
            self.group()
        elif c == ")":
            if len(self.open) == 1:
                raise self.error("a ) closes no group")
            self.take(")" * (len(self.open.pop()) + 1))
        elif c == "|":
            flags = self.open[-1]
            self.take(")" * len(flags) + "|" + "".join(flags))
        elif c in "*+?{":
            self.quantifier()
        else:
            following = self.text[self.at + 1 : self.at + 2]
            if ord(c) > 127 and (following in tuple("*+?") or self.is_count(self.at + 1)):
                raise self.error(f"{c} is several bytes; write (?:{c}) before {following}")
            self.take(c)

    def take(self, translated: str, length: int = 1) -> None:
        self.out.append(translated)
        self.at += length

    def error(self, what: str) -> PatternError:
        return PatternError(f"{what} (character {self.at + 1} of {self.text!r:.80})")

    def is_count(self, at: int) -> bool:
        return _QUANTIFIER.match(self.text, at) is not None

    def quantifier(self) -> None:
        counted = _QUANTIFIER.match(self.text, self.at)
        if self.text[self.at] == "{" and not counted:
            self.take("\\{")
            return
        length = counted.end() - self.at if counted else 1
        if counted and max(int(n) for n in counted.groups() if n) > REPEAT_MAX:
            raise self.error(f"{counted[0]} repeats more than {REPEAT_MAX} times")
        if self.text[self.at + length : self.at + length + 1] == "+":
            raise self.error(f"{self.text[self.at : self.at + length]}+ is possessive, which is not possible")
        self.take(self.text[self.at : self.at + length], length)
        if self.text[self.at : self.at + 1] == "?":
            self.take("?")

    def group(self) -> None:
        rest = self.text[self.at + 1 :]
        if rest.startswith("*"):
            raise self.error("verbs (*...) are not possible")
        if not rest.startswith("?"):
            self.open.append([])
            self.take("(")
            return
        for mark, name in _LOOK.items():
            if rest.startswith("?" + mark):
                raise self.error(f"{name} (?{mark}...) is not possible in one pass")
        if rest.startswith("?#"):
            end = self.text.find(")", self.at)
            if end < 0:
                raise self.error("a comment (?#...) is not closed")
            self.take("", end + 1 - self.at)
        elif flags := _FLAGS.match(self.text, self.at):
            self.flags(flags)
        elif named := _NAMED.match(self.text, self.at):
            self.open.append([])
            self.take(f"(?P<{named[1]}>", len(named[0]))
        else:
            raise self.error(f"{self.refused_group(rest)} is not possible")

    @staticmethod
    def refused_group(rest: str) -> str:
        if rest.startswith("?>"):
            return "an atomic group (?>...)"
        if rest.startswith("?("):
            return "a condition (?(...)...)"
        if rest.startswith("?P="):
            return "a back-reference (?P=...)"
        if re.match(r"\?(?:R|&|P>|[+-]?\d)", rest):
            return "recursion (?R), (?1), (?&name)"
        return f"({rest[:3]}"

    def flags(self, flags: re.Match[str]) -> None:
        on, off, end = flags[1], flags[2], flags[3]
        scoped = f"(?{on}{'-' + off if off else ''}:"
        if end == ":":
            self.open.append([])
            self.take(scoped, len(flags[0]))
        elif on or off:
            self.open[-1].append(scoped)
            self.take(scoped, len(flags[0]))
        else:
            self.take("", len(flags[0]))

    def escape(self) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        if not following:
            raise self.error("ends in a lone \\")
        if following == "Q":
            end = self.text.find("\\E", self.at + 2)
            quoted = self.text[self.at + 2 : end if end >= 0 else len(self.text)]
            self.take(re.escape(quoted), len(quoted) + (4 if end >= 0 else 2))
        elif following == "E":
            self.take("", 2)
        elif following in "123456789":
            raise self.error(f"\\{following} is a back-reference, which is not possible in one pass")
        else:
            self.one_escape(following, in_class=False)

    def one_escape(self, c: str, *, in_class: bool) -> None:
        if c in _REFUSED_ESCAPES:
            raise self.error(f"\\{c} {_REFUSED_ESCAPES[c]}")
        if c in _TRANSLATED:
            translated = _TRANSLATED[c][1 if in_class else 0]
            if translated is None:
                raise self.error(f"\\{c} is not possible within [...]")
            self.take(translated, 2)
        elif c in _SAME:
            self.take("\\" + c, 2)
        elif c == "x":
            self.hexadecimal()
        elif c == "0" or (in_class and c in "1234567"):
            digits = re.compile(r"[0-7]{1,3}").match(self.text, self.at + 1)
            assert digits is not None  # c is one
            self.byte(int(digits[0], 8), 1 + len(digits[0]))
        elif c == "c":
            self.control()
        elif c.isalnum() and c.isascii():
            raise self.error(f"\\{c} is not known")
        else:
            self.take("\\" + c if c.isascii() else c, 2)

    def hexadecimal(self) -> None:
        braced = re.compile(r"\\x\{([0-9a-fA-F]{1,6})\}").match(self.text, self.at)
        plain = re.compile(r"\\x([0-9a-fA-F]{0,2})").match(self.text, self.at)
        found = braced or plain
        assert found is not None  # none or two digits always fit
        self.byte(int(found[1] or "0", 16), len(found[0]))

    def byte(self, value: int, length: int) -> None:
        if value > 255:
            raise self.error(f"{self.text[self.at : self.at + length]} is more than a byte")
        self.take(f"\\x{value:02x}", length)

    def control(self) -> None:
        letter = self.text[self.at + 2 : self.at + 3]
        if not letter or not letter.isascii():
            raise self.error("\\c needs a letter after it")
        self.byte(ord(letter.upper()) ^ 0x40, 3)

    def bracket(self) -> None:
        begin = self.at
        self.take("[")
        if self.text[self.at : self.at + 1] == "^":
            self.take("^")
        if self.text[self.at : self.at + 1] == "]":
            self.take("\\]")
        while self.at < len(self.text) and self.text[self.at] != "]":
            self.member()
        if self.at >= len(self.text):
            self.at = begin
            raise self.error("[ is not closed")
        self.take("]")

    def member(self) -> None:
        c = self.text[self.at]
        if c == "[" and (posix := re.compile(r"\[:(\^?)(\w+):\]").match(self.text, self.at)):
            if posix[1] or posix[2] not in _POSIX:
                raise self.error(f"{posix[0]} is not known")
            self.take(_POSIX[posix[2]], len(posix[0]))
        elif c == "\\":
            following = self.text[self.at + 1 : self.at + 2]
            if not following:
                raise self.error("ends in a lone \\")
            self.one_escape(following, in_class=True)
        elif ord(c) > 127:
            raise self.error(f"{c} is several bytes, and [...] stands for one; write (?:{c}|...)")
        else:
            self.take("\\" + c if c in "[&~|" else c)
