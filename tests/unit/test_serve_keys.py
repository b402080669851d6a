"""The token and the sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from haechi.serve import keys
from haechi.serve.keys import Keys, TokenError, take_token


def test_the_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "token"
    token, made = take_token(path)
    assert made
    assert len(token) >= 40
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert take_token(path) == (token, False)


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    take_token(path)
    path.chmod(0o640)
    with pytest.raises(TokenError, match="mode 640 lets others read the token; run: chmod 600"):
        take_token(path)


def test_a_short_token_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text("hunter2\n")
    with pytest.raises(TokenError, match="7 characters are fewer than 32"):
        take_token(path)


def test_a_link_in_the_tokens_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("x" * 50)
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="token"):
        take_token(tmp_path / "token")


def test_what_opens() -> None:
    some = Keys("t" * 40, lambda: 0.0)
    assert some.demanded
    assert some.opens("t" * 40)
    for wrong in ("", "t" * 39, "t" * 41, "ü"):
        assert not some.opens(wrong)
    none = Keys(None, lambda: 0.0)
    assert not none.demanded
    assert not none.opens("")


def test_sessions_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(keys, "SESSIONS_MAX", 2)
    some = Keys("t" * 40, lambda: now)
    first, second = some.begin_session(), some.begin_session()
    assert first != second
    assert some.has_session(first)
    third = some.begin_session()
    assert [some.has_session(each) for each in (first, second, third)] == [False, True, True]
    some.end_session(second)
    assert not some.has_session(second)
    now = keys.SESSION_S + 1
    assert not some.has_session(third)
