"""Reading the manifest of an export, and everything that may be wrong with it."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.texts import (
    MAX_NAME,
    check_adapter_name,
    check_alias_name,
    check_metrics,
    check_provenance,
    check_tags,
    check_text,
)
from lorarack.registry.transfer.manifest import MANIFEST, MAX_MANIFEST_BYTES, Manifest, PortableVersion, refused

_SHOWN = 5


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the export in ``folder``, checked by itself: the version's folders are not looked at.

    Raises:
        NotFound: no export there. InvalidArtifact: not a manifest, or one that contradicts itself.
    """
    manifest = _parse(_read(folder), folder)
    problems = list(_problems(manifest))
    if problems:
        raise refused(problems, folder)
    return manifest.model_copy(update={"versions": in_order(manifest)})


def _read(folder: Path) -> bytes:
    path = folder / MANIFEST
    if not os.path.isfile(path):  # Path.is_file raises where a name is too long
        raise NotFound(
            f"There is no {MANIFEST} in {str(folder)!r}; give a folder that 'lorarack export' wrote.", code="no_export"
        )
    if path.is_symlink() or path.stat().st_size > MAX_MANIFEST_BYTES:
        raise refused([f"its {MANIFEST} is a link, or larger than {MAX_MANIFEST_BYTES} bytes"], folder)
    return path.read_bytes()


def _parse(raw: bytes, folder: Path) -> Manifest:
    try:
        data = json.loads(raw.decode(), parse_constant=_no_number)
        json.dumps(data, ensure_ascii=False).encode()  # half of a surrogate pair could be neither stored nor given back
        return Manifest.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        problems = [f"its {MANIFEST}: {_where(entry['loc'])}: {entry['msg']}" for entry in found]
        raise refused(problems, folder) from error
    except (ValueError, RecursionError) as error:
        raise refused([f"its {MANIFEST} is not JSON in UTF-8"], folder) from error


def _no_number(text: str) -> None:
    raise ValueError(text)


def _where(path: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:60] for part in path) or "all of it"


def _problems(manifest: Manifest) -> Iterator[str]:
    """Everything that it contradicts itself in, or that the registry would not keep."""
    bases = {base.fingerprint for base in manifest.bases}
    versions = {(version.adapter, version.number) for version in manifest.versions}
    names = [adapter.name for adapter in manifest.adapters]
    yield from _names_problems(manifest)
    yield from (f"it lists {what} twice" for what in _twice(names))
    yield from (f"it lists {what} twice" for what in _twice([v.reference for v in manifest.versions]))
    yield from (
        f"it lists one artifact twice for {a!r}" for a, _ in _twice([(v.adapter, v.digest) for v in manifest.versions])
    )
    for adapter in manifest.adapters:
        if adapter.base not in bases:
            yield f"it does not name the base of {adapter.name!r}"
        for alias, number in adapter.aliases.items():
            if (adapter.name, number) not in versions:
                yield f"alias {adapter.name}@{alias} names version {number}, which it does not have"
    yield from _text_problems(manifest)
    yield from _lineage_problems(manifest)
    unlisted = {version.adapter for version in manifest.versions} - set(names)
    yield from (f"it has versions of adapter {name!r} and no entry for it" for name in sorted(unlisted))


def _names_problems(manifest: Manifest) -> Iterator[str]:
    """Names become folders' names, so they are checked before anything else is looked at."""
    for adapter in manifest.adapters:
        try:
            check_adapter_name(adapter.name)
            for alias in adapter.aliases:
                check_alias_name(alias)
        except UsageError as error:
            yield error.message[:300]


def _text_problems(manifest: Manifest) -> Iterator[str]:
    """What ``Registry.publish`` would not keep is not imported either."""
    for version in manifest.versions:
        try:
            check_text(version.description, "description")
            check_text(version.state_reason, "reason")
            check_text(version.created_by, "creator", MAX_NAME)
            check_tags(version.tags)
            check_metrics(version.metrics)
            check_provenance(version.provenance)
            version.created_at.astimezone(UTC)
        except UsageError as error:
            yield f"{version.reference}: {error.message[:300]}"
        except OverflowError:
            yield f"{version.reference}: the time when it was published is none"


def _lineage_problems(manifest: Manifest) -> Iterator[str]:
    digests = {version.reference: version.digest for version in manifest.versions}
    for version in manifest.versions:
        for parent in version.parents:
            if digests.get(parent.version, parent.digest) != parent.digest:
                yield f"{version.reference} has a parent {parent.version} of another digest than {parent.version} has here"
    try:
        in_order(manifest)
    except CycleError as error:
        circle = " of ".join(f"{name} ({digest[:19]}…)" for name, digest in error.args[1][:_SHOWN])
        yield f"a version is its own ancestor, which cannot be: {circle}"


def in_order(manifest: Manifest) -> tuple[PortableVersion, ...]:
    """The versions, each behind its parents, else in the manifest's order. Raises ``CycleError``: there is no such order."""
    places = {(version.adapter, version.digest): place for place, version in enumerate(manifest.versions)}
    graph: TopologicalSorter[tuple[str, str]] = TopologicalSorter()
    for version in manifest.versions:
        above = ((parent.version.partition("@")[0], parent.digest) for parent in version.parents)
        graph.add((version.adapter, version.digest), *(key for key in above if key in places))
    graph.prepare()
    waiting: list[int] = []
    ordered: list[PortableVersion] = []
    while graph.is_active():
        for key in graph.get_ready():
            heappush(waiting, places[key])
        version = manifest.versions[heappop(waiting)]
        ordered.append(version)
        graph.done((version.adapter, version.digest))
    return tuple(ordered)


def _twice(values: list[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]
