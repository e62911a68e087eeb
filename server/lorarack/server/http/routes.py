"""Routes of our own, and the list of models, which replaces vLLM's (that one knows loaded adapters only)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from lorarack.registry import Version
from lorarack.registry.errors import LorarackError, NotServeable
from lorarack.server.http.errors import error_body, status_of
from lorarack.server.serveable import why_not
from lorarack.server.serving import Serving

#: vLLM's own entries for the base model, one for each name it is served under.
BaseCards = Callable[[], Awaitable[Sequence[dict[str, Any]]]]


def make_router(serving: Callable[[], Serving | None], base_cards: BaseCards) -> APIRouter:
    """``/ready``, ``/v1/models`` and ``/v1/models/NAME``."""
    router = APIRouter()

    @router.get("/ready")
    async def ready() -> JSONResponse:
        """200 once adapters can be served."""
        is_ready = serving() is not None
        return JSONResponse({"ready": is_ready}, status_code=200 if is_ready else 503)

    @router.get("/v1/models")
    async def models() -> JSONResponse:
        """The base, and every alias and ready version that this server can serve, resident or not."""
        now = _started(serving)
        resident = await now.residency.resident()
        cards = [_base_card(card, now) for card in await base_cards()]
        adapters = [adapter_card(name, version, now, resident, cards[0]) for name, version in now.offered()]
        return JSONResponse({"object": "list", "data": [*cards, *adapters]})

    @router.get("/v1/models/{name:path}")
    async def model(name: str) -> JSONResponse:
        """The entry of one name: of the base, or of any reference."""
        now = _started(serving)
        cards = [_base_card(card, now) for card in await base_cards()]
        if found := next((card for card in cards if card["id"] == name), None):
            return JSONResponse(found)
        try:
            version = await now.directory.resolve(name)
            if reason := why_not(version, now.limits):
                raise NotServeable(reason)
            return JSONResponse(adapter_card(name, version, now, await now.residency.resident(), cards[0]))
        except LorarackError as error:
            status = status_of(error)
            return JSONResponse(error_body("/v1/models", status, error.message, error.code), status_code=status)

    return router


def adapter_card(
    name: str, version: Version, serving: Serving, resident: frozenset[str], base_card: dict[str, Any]
) -> dict[str, Any]:
    """An entry as OpenAI's clients expect it, with what they need to know more under ``lorarack``."""
    return {
        "id": name,
        "object": "model",
        "created": int(version.created_at.timestamp()),
        "owned_by": "lorarack",
        "root": version.reference,
        "parent": serving.limits.base,
        "max_model_len": base_card.get("max_model_len"),
        "lorarack": {
            "version": version.reference,
            "digest": version.digest,
            "rank": version.rank,
            "resident": version.reference in resident,
        },
    }


def _base_card(card: dict[str, Any], serving: Serving) -> dict[str, Any]:
    about = {"version": serving.limits.base, "digest": serving.limits.fingerprint, "rank": None, "resident": True}
    # vLLM writes the model's path on the server's disk here.
    return {**card, "root": serving.limits.base, "lorarack": about}


def _started(serving: Callable[[], Serving | None]) -> Serving:
    now = serving()
    if now is None:
        raise RuntimeError("a request came before the server was ready")
    return now
