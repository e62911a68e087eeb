"""lorarack's routes, and the list of models, which replaces vLLM's (which lists loaded adapters only).

None of them asks the engine anything, so none waits for it.
"""

import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from lorarack.registry import Version
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, DEFAULTS
from lorarack.registry.errors import LorarackError, NotFound, UsageError
from lorarack.registry.values import naming
from lorarack.server.app_state import AppState
from lorarack.server.caller import Caller
from lorarack.server.http.asgi import caller_of
from lorarack.server.http.bodies import ModelEntry, ModelList, Readiness, ResidencyTable, errors
from lorarack.server.http.errors import error_body, headers_of, status_of
from lorarack.server.limits import check_serveable
from lorarack.server.policies.check_access import check_access
from lorarack.server.residency import Residency
from lorarack.server.residency_table import Row, RowState

#: The longest page of models.
MAX_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for, as OpenAI's lists are: what follows the entry ``after``, at most ``limit`` of it."""

    after: str | None
    limit: int | None

    @classmethod
    def asked_for(cls, query: Mapping[str, str]) -> "Page":
        """The page that a query asks for. Read here and not by FastAPI, whose errors vLLM puts into another form.

        Raises:
            UsageError: its ``limit`` is no number, or too large.
        """
        given = query.get("limit")
        limit = None if given is None else int(given) if given.isascii() and given.isdecimal() and len(given) < 9 else 0
        if limit is not None and not 1 <= limit <= MAX_PAGE:
            raise UsageError(f"limit is a number from 1 to {MAX_PAGE}, not {str(given)[:60]!r}.")
        return cls(query.get("after"), limit)

    def of(self, entries: list[tuple[str, Version | None]]) -> tuple[list[tuple[str, Version | None]], bool]:
        """The part of ``entries``, and whether there is more behind it.

        Raises:
            NotFound: there is no entry ``after``.
        """
        start = 0
        if self.after is not None:
            start = next((place for place, (name, _) in enumerate(entries, 1) if name == self.after), 0)
            if not start:
                raise NotFound(
                    f"There is no model {self.after[:60]!r} to list what comes after it; begin again without."
                )
        end = len(entries) if self.limit is None else start + self.limit
        return entries[start:end], end < len(entries)


#: As OpenAPI describes them.
PAGE_PARAMETERS = [
    {"name": "after", "in": "query", "schema": {"type": "string"}},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}},
]
#: vLLM's own entries for the base model, one for each name it is served under.
BaseCards = Callable[[], Awaitable[Sequence[dict[str, Any]]]]


def make_router(state: Callable[[], AppState | None], base_cards: BaseCards) -> APIRouter:
    """``/ready``, ``/v1/residency``, ``/v1/models`` and ``/v1/models/NAME``."""
    router = APIRouter()

    @router.get("/ready", response_model=Readiness, responses={503: {"model": Readiness}})
    async def ready() -> JSONResponse:
        """200 while new requests should come here."""
        now = state()
        reason = now.unready_reason() if now is not None else "the server is starting"
        if reason is None:
            return JSONResponse({"ready": True})
        return JSONResponse({"ready": False, "reason": reason}, status_code=503, headers={"retry-after": "5"})

    @router.get("/v1/residency", response_model=ResidencyTable, responses=errors())
    async def residency() -> JSONResponse:
        """The table of what is in the engine and on its way there."""
        return JSONResponse(residency_body(_started(state).residency))

    @router.get(
        "/v1/models",
        response_model=ModelList,
        responses=errors(400, 404),
        openapi_extra={"parameters": PAGE_PARAMETERS},
    )
    @router.get("/v1/models/", include_in_schema=False)
    async def models(request: Request) -> Response:
        """The base, and every alias and ready version that this server can serve, resident or not; of each what the key is for.

        The whole list, or a page of it.
        """
        now, caller = _started(state), caller_of(request.scope)
        cards = [_base_card(card, now) for card in await base_cards()]
        try:
            page = Page.asked_for(request.query_params)
            body = await run_in_threadpool(_listed, now, cards, now.residency.resident, caller, page)
        except LorarackError as error:
            return _error(error)
        return Response(body, media_type="application/json")

    @router.get("/v1/models/{name:path}", response_model=ModelEntry, responses=errors(404, 410, 422, 503))
    async def model(name: str, request: Request) -> JSONResponse:
        """The entry of one name: of the base, or of any reference."""
        now, caller = _started(state), caller_of(request.scope)
        cards = [_base_card(card, now) for card in await base_cards()]
        try:
            check_access(name, caller, now.base_names)
            if found := next((card for card in cards if card["id"] == name), None):
                return JSONResponse(found)
            version = await now.resolver.resolve(name, suggest=caller.sees_all)
            check_serveable(version, now.limits)
            return JSONResponse(adapter_card(name, version, now, now.residency.resident, cards[0]))
        except LorarackError as error:
            return _error(error)

    return router


def _error(error: LorarackError) -> JSONResponse:
    status = status_of(error)
    headers = {key.decode(): value.decode() for key, value in headers_of(error)}
    return JSONResponse(
        error_body("/v1/models", status, error.message, error.code), status_code=status, headers=headers
    )


def _listed(now: AppState, cards: list[dict[str, Any]], resident: frozenset[str], caller: Caller, page: Page) -> bytes:
    """The list as JSON: off the event loop, for thousands of adapters take a while."""
    bases = [(str(card["id"]), None) for card in cards if caller.may_use(card["id"])]
    entries, more = page.of([*bases, *now.served_models(caller)])
    by_name = {card["id"]: card for card in cards}
    data = [
        by_name[name] if version is None else adapter_card(name, version, now, resident, cards[0])
        for name, version in entries
    ]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return json.dumps({"object": "list", "data": data, **ends, "has_more": more}).encode()


def residency_body(residency: Residency) -> dict[str, Any]:
    """The table as JSON, what was used last first."""
    rows = sorted(residency.table, key=lambda row: row.last_used, reverse=True)
    data = [_row(row) for row in rows if row.state is not RowState.FAILED or row.refused_for]
    limits = residency.limits
    return {
        "object": "list",
        "base": limits.base,
        "fingerprint": limits.fingerprint,
        "dtype": limits.dtype,
        "capacity": residency.capacity,
        "data": data,
    }


def _row(row: Row) -> dict[str, Any]:
    refused = row.refused_for
    return {
        **naming(row.version.adapter, row.version.number),
        "digest": row.version.digest,
        "rank": row.version.rank,
        "state": row.state.value,
        "requests": row.requests,
        "pinned": row.pinned,
        "last_used": datetime.fromtimestamp(row.last_used, UTC).isoformat(),
        "load_seconds": row.load_seconds,
        "probe": row.proof.effect if row.proof else None,
        "parity": row.proof.parity.to_json() if row.proof and row.proof.parity else None,
        "reason": row.failure.error.message if row.failure and refused else None,
        "retry_after": refused if 0 < refused < math.inf else None,
    }


def adapter_card(
    name: str, version: Version, state: AppState, resident: frozenset[str], base_card: dict[str, Any]
) -> dict[str, Any]:
    """An entry as OpenAI's clients expect it, with what they need to know more under ``lorarack``."""
    return {
        "id": name,
        "object": "model",
        "created": int(version.created_at.timestamp()),
        "owned_by": "lorarack",
        "root": version.reference,
        "parent": state.limits.base,
        "max_model_len": base_card.get("max_model_len"),
        "lorarack": {
            "version": version.reference,
            "digest": version.digest,
            "rank": version.rank,
            "resident": version.reference in resident,
            "chat_template": version.file_digest(CHAT_TEMPLATE),
            "defaults": version.file_digest(DEFAULTS),
        },
    }


def _base_card(card: dict[str, Any], state: AppState) -> dict[str, Any]:
    about = {"version": state.limits.base, "digest": state.limits.fingerprint, "rank": None, "resident": True}
    # vLLM writes the model's path on the server's disk here.
    return {**card, "root": state.limits.base, "lorarack": about}


def _started(state: Callable[[], AppState | None]) -> AppState:
    now = state()
    if now is None:
        raise RuntimeError("a request came before the server was ready")
    return now
