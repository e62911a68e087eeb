"""Whatever answers at the Hub's address: one sentence, no more bytes than were promised, nothing left behind."""

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.messages import Answer, Request, as_json
from tests.registry.hub.conftest import tree
from tests.tiny import tiny_base

from lorarack.registry import LorarackError, Registry
from lorarack.registry.errors import Unavailable
from lorarack.registry.hub.pull import pull

Spoil = Callable[[Request], Answer | None]


def when(pattern: str, answer: Callable[[Request], Answer]) -> Spoil:
    return lambda request: answer(request) if re.search(pattern, request.path) else None


def described(hub: Hub, change: Callable[[dict[str, Any]], object]) -> Callable[[Request], Answer]:
    """What the Hub says about a repository, changed."""
    from tests.hub_stand_in import api

    def answer(request: Request) -> Answer:
        found = re.match("/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?$", request.path)
        assert found
        data = json.loads(api.info(hub, request, *(part for part in found.groups() if part)).body)
        change(data)
        return as_json(data)

    return answer


def sizes(value: object) -> Callable[[dict[str, Any]], object]:
    def change(data: dict[str, Any]) -> None:
        for sibling in data["siblings"]:
            sibling["size"] = value

    return change


INFO = "^/api/models/"
ODD_DESCRIPTIONS: dict[str, Callable[[Hub], Spoil]] = {
    "not JSON": lambda _: when(INFO, lambda _: Answer(b"<html>welcome</html>", headers={"Content-Type": "text/html"})),
    "nothing": lambda _: when(INFO, lambda _: Answer(b"")),
    "a list": lambda _: when(INFO, lambda _: as_json([1, 2])),
    "a text": lambda _: when(INFO, lambda _: as_json("hello")),
    "null": lambda _: when(INFO, lambda _: as_json(None)),
    "an empty object": lambda _: when(INFO, lambda _: as_json({})),
    "not UTF-8": lambda _: when(INFO, lambda _: Answer(b'{"id": "\xff"}')),
    "nested deeply": lambda _: when(INFO, lambda _: Answer(b"[" * 200_000)),
    "a redirect to itself": lambda _: when(INFO, lambda request: Answer(status=302, headers={"Location": request.path})),
    "a redirect to nowhere": lambda _: when(INFO, lambda _: Answer(status=302, headers={"Location": "ftp://x/y"})),
    "a teapot": lambda _: when(INFO, lambda _: Answer(b"short and stout", status=418)),
    "no commit": lambda hub: when(INFO, described(hub, lambda data: data.pop("sha"))),
    "a number for a commit": lambda hub: when(INFO, described(hub, lambda data: data.update(sha=3))),
    "no files": lambda hub: when(INFO, described(hub, lambda data: data.pop("siblings"))),
    "files that are numbers": lambda hub: when(INFO, described(hub, lambda data: data.update(siblings=[1, 2]))),
    "files without names": lambda hub: when(INFO, described(hub, lambda data: data.update(siblings=[{"size": 1}]))),
    "names that are numbers": lambda hub: when(INFO, described(hub, lambda data: data.update(siblings=[{"rfilename": 1}]))),
    "sizes that are texts": lambda hub: when(INFO, described(hub, sizes("large"))),
    "sizes below zero": lambda hub: when(INFO, described(hub, sizes(-1))),
    "no sizes": lambda hub: when(INFO, described(hub, sizes(None))),
    "sizes beyond every limit": lambda hub: when(INFO, described(hub, sizes(2**80))),
    "sizes that are too small": lambda hub: when(INFO, described(hub, sizes(5))),
}  # fmt: skip


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.mark.parametrize("odd", ODD_DESCRIPTIONS.values(), ids=ODD_DESCRIPTIONS)
def test_an_odd_description_is_one_sentence(
    odd: Callable[[Hub], Spoil], hub: Hub, elsewhere: Registry, theirs: Path, tmp_path: Path, temporary: Path
) -> None:
    """For an adapter that is pulled, and for a base model that is added."""
    hub.seed("stranger/theirs", theirs)
    hub.seed("stranger/base", tiny_base(tmp_path / "base", seed=3))
    before = tree(Path(elsewhere.location))
    hub.before = odd(hub)
    for act in (lambda: pull(elsewhere, "stranger/theirs"), lambda: elsewhere.add_base("stranger/base")):
        with pytest.raises(LorarackError) as raised:
            act()
        assert 0 < len(str(raised.value)) < 1000
    assert tree(Path(elsewhere.location)) == before
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("more", [1, 50 * 2**20])
@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "README.md"])
def test_no_more_is_read_than_was_promised(
    name: str, more: int, hub: Hub, elsewhere: Registry, theirs: Path, temporary: Path
) -> None:
    hub.seed("stranger/theirs", theirs)
    data = (theirs / name).read_bytes()
    hub.before = when(f"/{name}$", lambda _: Answer(data + bytes(more)))
    with pytest.raises(Unavailable, match=r"sends more of .* than the bytes that it promised"):
        pull(elsewhere, "stranger/theirs")
    assert list(temporary.iterdir()) == []


def test_fewer_bytes_than_promised_are_noticed(hub: Hub, elsewhere: Registry, theirs: Path) -> None:
    hub.seed("stranger/theirs", theirs)
    data = (theirs / "adapter_model.safetensors").read_bytes()
    hub.before = when("/adapter_model.safetensors$", lambda _: Answer(data[:-7]))
    with pytest.raises(Unavailable, match="sent 7 bytes less"):
        pull(elsewhere, "stranger/theirs")


def test_a_compressed_body_is_not_unpacked(hub: Hub, elsewhere: Registry, theirs: Path) -> None:
    """A few bytes can become gigabytes."""
    hub.seed("stranger/theirs", theirs)
    hub.before = when("/adapter_config.json$", lambda _: Answer(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(Unavailable, match="as bytes that can be counted"):
        pull(elsewhere, "stranger/theirs")


def test_a_hub_without_ranges_is_told_from_one_with(hub: Hub, elsewhere: Registry, tmp_path: Path) -> None:
    """All of a weight file in answer to a range of it is neither read nor taken for the range."""
    hub.seed("stranger/base", tiny_base(tmp_path / "base", seed=3))
    whole = (tmp_path / "base" / "model.safetensors").read_bytes() + bytes(2**20)
    hub.before = when("/model.safetensors$", lambda _: Answer(whole))
    with pytest.raises(Unavailable):
        elsewhere.add_base("stranger/base")
