"""Routing is a list of policies of one shape, applied in order; what they hold is let go in the end, whatever happens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from lorarack.registry.errors import NotAllowed, Unavailable
from lorarack.server.caller import ANONYMOUS, Caller
from lorarack.server.router import Ask, Route, Router

BASE = Route("tiny", "tiny", "sha256:base")


@dataclass
class Noted:
    """A policy that puts its name behind the version, and notes when it began and ended."""

    name: str
    events: list[str]
    fails: bool = False

    @asynccontextmanager
    async def __call__(self, ask: Ask, caller: Caller, route: Route) -> AsyncIterator[Route]:
        if self.fails:
            raise Unavailable(f"{caller.name} asked {ask.model}")
        self.events.append(f"+{self.name}")
        yield replace(route, version=route.version + self.name)
        self.events.append(f"-{self.name}")


async def test_each_policy_gets_the_route_of_the_one_before() -> None:
    events: list[str] = []
    router = Router(BASE, [Noted("a", events), Noted("b", events)])
    async with router.route(Ask("x"), ANONYMOUS) as route:
        assert route == Route("tinyab", "tiny", "sha256:base")
        assert events == ["+a", "+b"]
    assert events == ["+a", "+b", "-b", "-a"]


async def test_where_a_policy_refuses_those_before_it_let_go() -> None:
    class Held(Noted):
        @asynccontextmanager
        async def __call__(self, ask: Ask, caller: Caller, route: Route) -> AsyncIterator[Route]:
            try:
                yield route
            finally:
                self.events.append("let go")

    events: list[str] = []
    router = Router(BASE, [Held("a", events), Noted("b", events, fails=True)])
    with pytest.raises(Unavailable, match="anonymous asked x"):
        async with router.route(Ask("x"), ANONYMOUS):
            raise AssertionError("answered")
    assert events == ["let go"]


async def test_a_key_that_is_not_for_models_gets_none() -> None:
    with pytest.raises(NotAllowed, match="'metrics' is not for models"):
        async with Router(BASE, []).route(Ask(""), Caller("metrics", frozenset({"metrics"}))):
            raise AssertionError("answered")
