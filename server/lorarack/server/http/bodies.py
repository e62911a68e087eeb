"""What our own routes take and answer, as OpenAPI has it.

Answers are made as plain dictionaries, since lists of models are long; that they fit what is written here is tested
(`tests/server/http/test_routes.py`).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lorarack.registry.parity import Parity

#: Of the registry's table of what is loaded.
State = Literal["fetching", "loading", "ready", "draining", "failed"]


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorDetail(_Exact):
    """What went wrong, for people and for programs."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorBody(_Exact):
    """OpenAI's form of an error."""

    error: ErrorDetail


class Readiness(_Exact):
    """Whether new requests should come here, and if not, why."""

    ready: bool
    reason: str | None = None


class LoadedVersion(_Exact):
    """A version that the engine has, that is on its way there, or that was refused."""

    reference: str
    adapter: str
    version: int = Field(ge=1)
    digest: str
    rank: int = Field(ge=1)
    state: State
    requests: int = Field(ge=0)
    pinned: bool
    last_used: str = Field(description="ISO 8601, UTC")
    load_seconds: float | None
    probe: str | None = Field(description="what it changes; null: not probed")
    parity: Parity | None = Field(description="with its training; null: not compared")
    reason: str | None
    retry_after: float | None = Field(description="seconds; null: not by itself")


class ResidencyTable(_Exact):
    """What is loaded, what was used last first."""

    object: Literal["list"]
    base: str
    fingerprint: str
    dtype: str | None = Field(description="number type that it computes in")
    capacity: int | None
    data: list[LoadedVersion]


class AboutVersion(_Exact):
    """What answers under a name."""

    version: str
    digest: str
    rank: int | None
    resident: bool
    chat_template: str | None = None
    defaults: str | None = None


class ModelEntry(BaseModel):
    """An entry of OpenAI's list of models. The base's has more, as vLLM gives it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str | None
    parent: str | None
    max_model_len: int | None
    lorarack: AboutVersion


class ModelList(_Exact):
    """Models, whole or a page."""

    object: Literal["list"]
    data: list[ModelEntry]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Feedback(BaseModel):
    """What a user said of an answer."""

    id: Annotated[str, Field(min_length=1, max_length=255, description="the answer's id")]
    value: float
    metric: str | None = None


class KeptFeedback(_Exact):
    """What was kept of it."""

    id: str
    experiment: int
    arm: str
    metric: str
    value: float


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: errors in OpenAI's form. 401 and 403 come where the server wants keys."""
    return {status: {"model": ErrorBody} for status in (401, 403, *statuses)}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """For a route's ``openapi_extra``, where it reads its body itself."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}
