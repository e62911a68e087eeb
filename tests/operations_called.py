"""Which operations of the registry a piece of work calls."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lorarack.registry.keys import RegistryKeys

#: What a registry's operations are grouped under, and the class that has them.
PARTS = {"keys": RegistryKeys}


def operations(of: type) -> set[str]:
    """The public operations of a registry's class and of its parts, as in ``keys.add``."""
    return {prefix + name for prefix, _, name in _operations(of)}


def _operations(of: type) -> Iterator[tuple[str, type, str]]:
    for prefix, its in {"": of, **{f"{part}.": its for part, its in PARTS.items()}}.items():
        for name in dir(its):
            if not name.startswith("_") and callable(getattr(its, name)):
                yield prefix, its, name


@contextmanager
def calls_recorded(of: type) -> Iterator[set[str]]:
    """Yields the set that the names of called operations go into; not those that an operation calls itself."""
    called: set[str] = set()
    depth = 0

    def recorded(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(operation)
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal depth
            if depth == 0:
                called.add(name)
            depth += 1
            try:
                return operation(*arguments, **options)
            finally:
                depth -= 1

        return call

    with pytest.MonkeyPatch.context() as patched:
        for prefix, its, name in list(_operations(of)):
            patched.setattr(its, name, recorded(prefix + name, getattr(its, name)))
        yield called
