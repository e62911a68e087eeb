"""Imports that are killed at each step; run as ``python -m tests.registry.crash.imports HOME EXPORT SCRATCH``.

For each step a copy of HOME, which knows the export's bases, and a victim that is killed when it comes so far. Prints, as JSON,
what was found after each kill, after ``gc`` and after the second import; and every error that a victim met while it lived.
"""

import json
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.registry.crash.forks import note, notes
from tests.registry.crash.steps import Steps
from tests.registry.search_tables import check_search_tables

from lorarack.registry import Registry, Version, open_registry


@dataclass(frozen=True, slots=True)
class Found:
    """After one kill: how many versions were there then and in the end, and how many stored files no version has in the end."""

    step: int
    at_once: int
    in_the_end: int
    stray: int


def versions(registry: Registry) -> list[Version]:
    return [version for adapter in registry.adapters() for version in registry.versions(adapter.name)]


def check(registry: Registry) -> int:
    """Every version is whole, and the log tells of exactly these; how many they are."""
    there = versions(registry)
    for version in there:
        registry.verify(version.reference)
    told = [f"{event.adapter}@{event.version}" for event in registry.events(limit=1000)
            if event.kind in ("published", "imported")]  # fmt: skip
    assert sorted(told) == sorted(version.reference for version in there)
    check_search_tables(registry)
    return len(there)


def stray(registry: Registry) -> int:
    """How many files on the disk belong to no version."""
    wanted = {file.digest.removeprefix("sha256:") for version in versions(registry) for file in version.files}
    there = {path.name for path in (Path(registry.location) / "blobs" / "sha256").rglob("*") if path.is_file()}
    assert wanted <= there
    return len(there - wanted)


def victim(home: Path, export: Path, step: int, errors: Path) -> bool:
    """Whether an import that kills itself at that step came so far."""
    child = os.fork()
    if not child:
        try:
            with open_registry(home) as registry:
                registry.last_event_id()
                steps = Steps(home, step)
                steps.arm()
                registry.import_from(export)
                steps.disarm()
        except BaseException:  # noqa: BLE001  (noted, and the test fails on it)
            note(errors, traceback.format_exc())
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kill_each(template: Path, export: Path, scratch: Path) -> Iterator[Found]:
    """Until a victim is through before its step comes."""
    step, killed = 0, True
    while killed:
        home = shutil.copytree(template, scratch / "home")
        killed = victim(home, export, step, scratch / "errors")
        with open_registry(home) as registry:
            at_once = check(registry)
            if step % 2:  # the rest is collected before or after the second import
                registry.gc(grace_seconds=0)
                assert stray(registry) == 0
            registry.import_from(export)
            in_the_end = check(registry)
            registry.gc(grace_seconds=0)
            yield Found(step, at_once, in_the_end, stray(registry))
        shutil.rmtree(home)
        step += 1


def main() -> None:
    template, export, scratch = map(Path, sys.argv[1:])
    found = [asdict(each) for each in kill_each(template, export, scratch)]
    print(json.dumps({"found": found, "errors": notes(scratch / "errors")}))


if __name__ == "__main__":
    main()
