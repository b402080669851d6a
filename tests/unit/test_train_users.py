"""Behind which word the lines of a template name a user."""

from __future__ import annotations

import pytest

from haechi.bundle.description import describe
from haechi.bundle.manifest import Other
from haechi.native import _core
from haechi.train import users

NAMES = ("root", "alice", "bob", "carol")


def lines(text: str, count: int = 100) -> list[tuple[int, bytes]]:
    return [(3, text.format(user=NAMES[n % len(NAMES)], n=n).encode()) for n in range(count)]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("session opened for user {user} by uid=0", b"user"),
        ("Accepted password for {user} from 10.0.0.{n}", b"for"),
        ("op=login acct={user} res=success", b"acct"),
        ("{n} : TTY=pts ; USER={user} ; COMMAND=ls", b"USER"),
        ("ruser={user} rhost=x", b"ruser"),
        ("audit: pid={n} uid=100{n}", None),  # as many as lines
        ("audit: uid=0 pid={n}", None),  # one alone, that nobody else knows
        ("user manager started {n}", None),
        ("file for {n}.txt from disk", None),
        ("no user here", None),
        ("login {n} done", None),  # numbers are no names
        ("user unknown {n}", None),
    ],
)
def test_the_word_is_found(text: str, word: bytes | None) -> None:
    assert users.learn(lines(text)).get(3) == word


def test_a_name_that_never_changes_is_one_where_others_know_it() -> None:
    closed = [(5, b"session closed for user root")] * 50
    assert users.learn(closed) == {}
    assert users.learn([*closed, *lines("session opened for user {user}")]) == {3: b"user", 5: b"user"}


def test_lines_without_a_template_have_no_word() -> None:
    assert users.learn([(0xFFFFFFFF, text) for _, text in lines("user {user}")]) == {}


def test_users_of_lines_are_found_by_their_key() -> None:
    texts = [b"[1]: user alice", b"[1]: user bob", b"[1]: user="]
    assert users.find([3, 4, 3], texts, {3: b"user"}) == [b"alice", b"", b""]


def test_what_stands_behind_the_process() -> None:
    data = b"2026-01-05T00:00:00Z web1 sshd[7]: user bob\r\n\nnonsense\n2026-01-05T00:00:00Z web1 sshd: x"
    assert _core.behind_process(data, "iso") == [b"[7]: user bob", b"", b"", b": x"]


def test_a_bundle_says_which_pairs_it_knows() -> None:
    validation = {
        "host_user": {"settled": 3, "pairs": 7},
        "process_key": {"settled": 0, "pairs": 9},
        "lines": 10,
    }
    section = {"name": "combos", "file": "combos.json", "repeat_s": 60, "validation": validation}
    said = describe(Other.model_validate(section))
    assert said == "7 pairs of hosts and users; any other one is reported, at most every 60 s"
