"""A home on a network file system is refused with the remedy; a local one never is."""

from pathlib import Path

import pytest

from lorarack.registry import open_registry
from lorarack.registry.catalog import network_fs
from lorarack.registry.catalog.network_fs import network_file_system
from lorarack.registry.errors import StoreError

LOCAL = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 259:1 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p1 rw,discard
"""


def mounted(place: str, kind: str) -> str:
    return f"{LOCAL}98 27 0:50 / {place} rw,relatime shared:5 master:2 - {kind} server:/export rw,vers=4.2,addr=192.0.2.1\n"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "lustre", "ceph", "fuse.s3fs"])
def test_what_is_elsewhere_is_told(kind: str) -> None:
    text = mounted("/home", kind)
    assert network_file_system(text, "/home/ann/.lorarack") == kind
    assert network_file_system(text, "/home") == kind
    assert network_file_system(text, "/homestead/ann") is None, "only a whole folder's name counts"
    assert network_file_system(text, "/srv/lorarack") is None


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs", "fuseblk", "fuse.fuse-overlayfs"])
def test_what_is_here_is_fine(kind: str) -> None:
    assert network_file_system(mounted("/home", kind), "/home/ann") is None


def test_the_innermost_mount_counts() -> None:
    inner = "99 98 259:2 / /home/ann rw - xfs /dev/sdb1 rw\n"
    assert network_file_system(mounted("/home", "nfs4") + inner, "/home/ann/x") is None
    assert network_file_system(mounted("/home", "nfs4") + inner, "/home/bob/x") == "nfs4"


def test_of_two_mounts_at_one_place_the_later_counts() -> None:
    later = "99 98 0:60 / /home rw - nfs4 server:/new rw\n"
    assert network_file_system(mounted("/home", "ext4") + later, "/home/ann") == "nfs4"


def test_places_with_blanks_are_written_in_octal() -> None:
    assert network_file_system(mounted(r"/my\040disk", "cifs"), "/my disk/registry") == "cifs"


def test_a_network_root_counts() -> None:
    assert network_file_system("27 1 0:20 / / rw - nfs4 server:/root rw\n", "/srv") == "nfs4"


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3 - \n", " - nfs x rw\n"])
def test_what_cannot_be_read_is_no_reason(text: str) -> None:
    assert network_file_system(text, "/srv") is None


def test_such_a_home_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link does not hide it, and whoever knows better may say so."""
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    (tmp_path / "mountinfo").write_text(mounted(str(tmp_path / "share").replace(" ", r"\040"), "nfs4"))
    monkeypatch.setattr(network_fs, "_MOUNTS", tmp_path / "mountinfo")
    for place in ("share", "link"):
        with pytest.raises(StoreError, match=r"network file system \(nfs4\).*give a folder on a local disk") as raised:
            open_registry(tmp_path / place / "home")
        assert raised.value.code == "network_home"
    assert list((tmp_path / "share").iterdir()) == []
    open_registry(tmp_path / "home").close()
    monkeypatch.setenv("LORARACK_ALLOW_NETWORK_HOME", "1")
    with open_registry(tmp_path / "link" / "home") as opened:
        assert opened.adapters() == ()
