"""Routes of our own, and the list of models, which replaces vLLM's (that one knows loaded adapters only)."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from lorarack.registry import Version
from lorarack.registry.errors import LorarackError
from lorarack.server.app_state import AppState
from lorarack.server.caller import Caller
from lorarack.server.http.asgi import caller_of
from lorarack.server.http.errors import error_body, headers_of, status_of
from lorarack.server.limits import check_serveable
from lorarack.server.own_template import own_template
from lorarack.server.policies.check_access import check_access

#: vLLM's own entries for the base model, one for each name it is served under.
BaseCards = Callable[[], Awaitable[Sequence[dict[str, Any]]]]


def make_router(state: Callable[[], AppState | None], base_cards: BaseCards) -> APIRouter:
    """``/ready``, ``/v1/models`` and ``/v1/models/NAME``."""
    router = APIRouter()

    @router.get("/ready")
    async def ready() -> JSONResponse:
        """200 while new requests should come here."""
        now = state()
        reason = now.unready_reason() if now is not None else "the server is starting"
        if reason is None:
            return JSONResponse({"ready": True})
        return JSONResponse({"ready": False, "reason": reason}, status_code=503, headers={"retry-after": "5"})

    @router.get("/v1/models")
    @router.get("/v1/models/", include_in_schema=False)
    async def models(request: Request) -> Response:
        """The base, and every alias and ready version that this server can serve, resident or not; of each what the key is for."""
        now = _started(state)
        cards = [_base_card(card, now) for card in await base_cards()]
        body = await run_in_threadpool(_listed, now, cards, now.residency.resident, caller_of(request.scope))
        return Response(body, media_type="application/json")

    @router.get("/v1/models/{name:path}")
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
            status = status_of(error)
            headers = {key.decode(): value.decode() for key, value in headers_of(error)}
            body = error_body("/v1/models", status, error.message, error.code)
            return JSONResponse(body, status_code=status, headers=headers)

    return router


def _listed(now: AppState, cards: list[dict[str, Any]], resident: frozenset[str], caller: Caller) -> bytes:
    """The list as JSON: off the event loop, for thousands of adapters take a while."""
    adapters = [adapter_card(name, version, now, resident, cards[0]) for name, version in now.served_models(caller)]
    bases = [card for card in cards if caller.may_use(card["id"])]
    return json.dumps({"object": "list", "data": [*bases, *adapters]}).encode()


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
            "unapplied_chat_template": own_template(version, state.base_template),
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
