"""Pushing to a repository, with the real client against the stand-in."""

from pathlib import Path

import pytest
from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.messages import Answer, Request
from tests.registry.hub.conftest import READ_TOKEN, TOKEN

from lorarack.registry import Metric, Published, Registry
from lorarack.registry.errors import Conflict, NotAllowed, NotFound, Unavailable, UsageError
from lorarack.registry.hub.push import push, write_folder

FILES = ("README.md", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja")


def test_a_push_is_one_commit_of_the_files_and_the_card(
    hub: Hub, registry: Registry, orders: Published, tmp_path: Path
) -> None:
    done = push(registry, "orders", "acme/orders")
    repository = hub.repositories["acme/orders"]
    assert done.created
    assert done.files == FILES
    assert (done.url, done.commit) == (f"{hub.url}/acme/orders", repository.head.sha)
    assert len(repository.commits) == 2, "the one that made the repository, and ours"
    assert repository.head.message == "orders@1: rank 4"
    assert orders.version.digest in repository.head.description
    folder = write_folder(registry, "orders", tmp_path / "out", repo_id="acme/orders")
    for name in FILES:
        assert repository.head.files[name].data == (folder / name).read_bytes()


def test_pushing_what_is_there_makes_no_commit(hub: Hub, registry: Registry, orders: Published) -> None:
    first = push(registry, "orders", "acme/orders")
    second = push(registry, orders.version.reference, "acme/orders")
    assert (second.created, second.commit) == (False, first.commit)
    assert len(hub.repositories["acme/orders"].commits) == 2


def test_new_metrics_change_the_card_alone(hub: Hub, registry: Registry, orders: Published) -> None:
    push(registry, "orders", "acme/orders")
    before = hub.repositories["acme/orders"].head.files
    registry.add_metrics("orders", [Metric(name="bleu", split="test", value=0.5, higher_is_better=True)])
    assert push(registry, "orders", "acme/orders").created
    after = hub.repositories["acme/orders"].head.files
    assert [name for name in after if after[name] != before[name]] == ["README.md"]


def test_other_files_of_the_repository_stay(hub: Hub, registry: Registry, orders: Published, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "NOTES.md").write_text("by hand")
    hub.seed("acme/orders", tmp_path / "theirs")
    push(registry, "orders", "acme/orders")
    assert hub.repositories["acme/orders"].head.files["NOTES.md"].data == b"by hand"


def test_large_weights_go_in_parts(hub: Hub, registry: Registry, orders: Published) -> None:
    hub.multipart_above = 1000
    push(registry, "orders", "acme/orders")
    assert [e.path[-8:] for e in hub.log if e.method == "PUT"] == ["/parts/1", "/parts/2", "/parts/3"]
    stored = hub.repositories["acme/orders"].head.files["adapter_model.safetensors"].data
    assert len(stored) == orders.version.bytes


def test_a_new_repository_is_private_when_asked(hub: Hub, registry: Registry, orders: Published) -> None:
    push(registry, "orders", "acme/secret", private=True)
    push(registry, "orders", "acme/open")
    assert hub.repositories["acme/secret"].private
    assert not hub.repositories["acme/open"].private
    assert not push(registry, "orders", "acme/secret", private=True).created


def test_a_public_repository_is_not_taken_for_a_private_push(hub: Hub, registry: Registry, orders: Published) -> None:
    """Who asks for privacy must not publish by mistake."""
    push(registry, "orders", "acme/orders")
    registry.add_metrics("orders", [Metric(name="bleu", split="test", value=0.5)])
    with pytest.raises(Conflict, match="public already"):
        push(registry, "orders", "acme/orders", private=True)
    assert len(hub.repositories["acme/orders"].commits) == 2


@pytest.mark.parametrize("exists", [False, True])
def test_a_repository_that_is_not_ours_is_left_alone(
    hub: Hub, registry: Registry, orders: Published, tmp_path: Path, exists: bool
) -> None:
    """Whether it is there or not: the token may not write under that name."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "README.md").write_text("theirs")
    if exists:
        hub.seed("stranger/orders", tmp_path / "theirs")
    with pytest.raises(NotAllowed, match=r"'stranger/orders'.*HF_TOKEN"):
        push(registry, "orders", "stranger/orders")
    assert [e for e in hub.log if e.method == "PUT"] == []
    assert ("stranger/orders" in hub.repositories) == exists


@pytest.mark.parametrize(
    ("token", "part"),
    [(None, "no token"), (READ_TOKEN, "may write"), ("hf_made_up", "does not accept the token")],
)
def test_a_token_that_will_not_do_is_named_but_not_shown(
    hub: Hub, registry: Registry, orders: Published, monkeypatch: pytest.MonkeyPatch, token: str | None, part: str
) -> None:
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(NotAllowed, match="HF_TOKEN") as raised:
        push(registry, "orders", "acme/orders")
    assert part in raised.value.message
    assert token is None or token not in raised.value.message
    assert "acme/orders" not in hub.repositories


def test_a_refused_upload_commits_nothing(hub: Hub, registry: Registry, orders: Published) -> None:
    """The storage says no half-way: the client hides that in an error of another kind."""
    hub.before = lambda request: Answer(status=403) if request.method == "PUT" else None
    with pytest.raises(NotAllowed, match="'acme/orders'"):
        push(registry, "orders", "acme/orders")
    assert len(hub.repositories["acme/orders"].commits) == 1


def test_the_hubs_own_trouble_is_said(hub: Hub, registry: Registry, orders: Published) -> None:
    hub.before = lambda _: Answer(status=503)
    with pytest.raises(Unavailable, match="trouble of its own"):
        push(registry, "orders", "acme/orders")


def test_offline_is_said(registry: Registry, orders: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Unavailable, match="HF_HUB_OFFLINE"):
        push(registry, "orders", "acme/orders")


def test_no_hub_at_that_address_is_said(registry: Registry, orders: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9 cannot be reached.*HF_ENDPOINT"):
        push(registry, "orders", "acme/orders")


def test_what_is_wrong_here_is_said_before_the_hub_is_asked(hub: Hub, registry: Registry, orders: Published) -> None:
    for repo_id, part in [("orders", "ORG/REPO"), ("acme/orders@main", "main branch")]:
        with pytest.raises(UsageError, match=part):
            push(registry, "orders", repo_id)
    with pytest.raises(NotFound):
        push(registry, "order", "acme/orders")
    assert hub.log == []


def test_the_token_goes_to_the_hub_and_nowhere_else(hub: Hub, registry: Registry, orders: Published) -> None:
    """The storage is another host; the address that the Hub gives is the permission there."""
    seen: list[tuple[str, str | None]] = []

    def look(request: Request) -> None:
        seen.append((request.path, request.token))

    hub.before = look
    push(registry, "orders", "acme/orders")
    assert {token for path, token in seen if path.startswith("/stored/")} == {None}
    assert {token for path, token in seen if path.startswith("/api/")} == {TOKEN}
