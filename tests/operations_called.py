"""Which operations of the registry a piece of work calls."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


def operations(of: type) -> set[str]:
    """The public operations of a registry's class."""
    return {name for name in dir(of) if not name.startswith("_") and callable(getattr(of, name))}


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
        for name in operations(of):
            patched.setattr(of, name, recorded(name, getattr(of, name)))
        yield called
