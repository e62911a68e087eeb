"""Whether a folder lies on a network file system, where SQLite's write-ahead log is unsafe.

The log's index is memory that all writers share; over a network each machine has its own, and the database is damaged without
anybody noticing (https://sqlite.org/wal.html, "all processes using a database must be on the same host computer").
"""

import os
import re
from pathlib import Path

from lorarack.registry.errors import StoreError

#: Set to 1 to use such a folder all the same, for those who know that one machine alone uses it.
ALLOW = "LORARACK_ALLOW_NETWORK_HOME"

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs",
))  # fmt: skip
#: What stands behind ``fuse.`` for file systems that are elsewhere.
_NETWORK_FUSE = frozenset((
    "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "cephfs", "gcsfuse", "geesefs", "glusterfs", "goofys",
    "juicefs", "mfs", "moosefs", "mount-s3", "rclone", "s3fs", "seaweedfs", "smbnetfs", "sshfs",
))  # fmt: skip
_ESCAPE = re.compile(r"\\([0-7]{3})")


def network_file_system(mountinfo: str, folder: str) -> str | None:
    """The type of the network file system that holds ``folder``, or None when it is a local one.

    Args:
        mountinfo: the text of ``/proc/self/mountinfo`` (proc_pid_mountinfo(5)).
        folder: absolute and without links; it need not exist.
    """
    best, kind = "", ""
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split()
        if not separator or len(fields) < 5 or not after:
            continue
        place = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[4])
        # Of two mounts at one place the later hides the earlier.
        if len(place) >= len(best) and _is_below(folder, place):
            best, kind = place, after.split()[0]
    remote = kind in _NETWORK or kind.removeprefix("fuse.") in _NETWORK_FUSE
    return kind if remote else None


def refuse_network(folder: Path) -> None:
    """Refuse a folder on a network file system.

    Raises:
        StoreError: it is on one, and the user has not allowed that.
    """
    if os.environ.get(ALLOW) == "1":
        return
    try:
        mountinfo = _MOUNTS.read_text(errors="replace")
        place = str(folder.resolve())
    except (OSError, RuntimeError):  # no /proc, as on macOS; a loop of links, which opening will tell of
        return
    kind = network_file_system(mountinfo, place)
    if kind:
        raise StoreError(
            f"The registry {str(folder)!r} lies on a network file system ({kind}), where SQLite can lose data; give a folder on "
            f"a local disk, or set {ALLOW}=1 if no other machine ever uses it.",
            code="network_home",
        )


def _is_below(folder: str, place: str) -> bool:
    return folder == place or folder.startswith(place if place.endswith("/") else f"{place}/")
