"""What lies in the user's cache folder runs in the server: it is the user's alone, or not used."""

import os
from pathlib import Path

import pytest

from lorarack.registry.errors import EngineError
from lorarack.server import user_cache
from lorarack.server.user_cache import cache_folder, private_folder, untrusted_reason


@pytest.fixture(autouse=True)
def no_group_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_cache, "_own_group", lambda _: False)


def test_it_is_where_the_users_cache_is() -> None:
    assert cache_folder({"HOME": "/home/me"}) == Path("/home/me/.cache/lorarack")
    assert cache_folder({"HOME": "/home/me", "XDG_CACHE_HOME": "/fast"}) == Path("/fast/lorarack")
    assert cache_folder({"HOME": "/home/me", "XDG_CACHE_HOME": "here"}) == Path("/home/me/.cache/lorarack")


def test_it_is_made_for_the_user_alone(tmp_path: Path) -> None:
    """Also where it was there with a wider mode that lets nobody write."""
    made = private_folder(tmp_path / "cache" / "lorarack")
    assert made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o755)
    assert private_folder(made).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o702, 0o1777])
def test_one_that_others_could_write_is_not_used(tmp_path: Path, mode: int) -> None:
    """They may have left something there already. Nor where a folder above is theirs to write, and so to exchange."""
    (tmp_path / "lorarack").mkdir()
    (tmp_path / "lorarack").chmod(mode)
    with pytest.raises(EngineError, match="can be written by others"):
        private_folder(tmp_path / "lorarack")
    if mode != 0o1777:
        with pytest.raises(EngineError, match="can be written by others"):
            private_folder(tmp_path / "lorarack" / "below")


def test_below_a_folder_like_tmp_it_may_lie(tmp_path: Path) -> None:
    """Where the sticky bit keeps others from exchanging what is not theirs."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    private_folder(tmp_path / "tmp" / "mine")


def test_links_are_followed_before_anything_is_judged(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    with pytest.raises(EngineError):
        private_folder(tmp_path / "link")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("depth", [0, 1])
def test_another_users_is_not_used(tmp_path: Path, depth: int) -> None:
    folder = tmp_path / "a" / "lorarack"
    folder.mkdir(parents=True)
    os.chown([folder, folder.parent][depth], 12345, -1)
    with pytest.raises(EngineError, match="belongs to another user"):
        private_folder(folder)


def test_one_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="cannot be used"):
        private_folder(tmp_path / "file" / "cache")


def test_a_group_of_the_users_own_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Distributions that give each user a group make folders so."""
    (tmp_path / "lorarack").mkdir()
    (tmp_path / "lorarack").chmod(0o770)
    monkeypatch.setattr(user_cache, "_own_group", lambda _: True)
    assert private_folder(tmp_path / "lorarack").stat().st_mode & 0o777 == 0o700


def test_what_is_not_there_is_not_trusted(tmp_path: Path) -> None:
    assert "cannot be looked at" in (untrusted_reason(tmp_path / "none") or "")
