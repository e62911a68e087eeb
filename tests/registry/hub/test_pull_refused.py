"""What cannot be pulled: one sentence, and nothing is left behind."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.messages import Answer
from tests.registry.hub.conftest import tree
from tests.tiny import change_config, write_json

from lorarack.registry import Registry
from lorarack.registry.artifact import folder as artifact_folder
from lorarack.registry.errors import InvalidArtifact, NotAllowed, NotFound, Unavailable, UsageError
from lorarack.registry.hub.pull import pull


def _seed(hub: Hub, folder: Path) -> None:
    hub.seed("stranger/theirs", folder)


def _without_config(hub: Hub, folder: Path) -> None:
    (folder / "adapter_config.json").unlink()
    _seed(hub, folder)


def _pickled(hub: Hub, folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    _seed(hub, folder)


def _over_the_limit(hub: Hub, folder: Path) -> None:
    (folder / "chat_template.jinja").write_bytes(b" " * (2**20 + 1))
    _seed(hub, folder)


def _cut_short(hub: Hub, folder: Path) -> None:
    weights = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(weights[:-10])
    _seed(hub, folder)


def _dora(hub: Hub, folder: Path) -> None:
    _seed(hub, change_config(folder, use_dora=True))


def _not_an_object(hub: Hub, folder: Path) -> None:
    write_json(folder / "adapter_config.json", [])
    _seed(hub, folder)


def _other_tokens(hub: Hub, folder: Path) -> None:
    write_json(folder / "tokenizer.json", {"model": {"vocab": {"a": 0}}})
    _seed(hub, folder)


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (_without_config, "no adapter_config.json"),
        (_pickled, "pickle (adapter_model.bin)"),
        (_over_the_limit, "'chat_template.jinja' has 1048577 bytes"),
        (_cut_short, "cut short"),
        (_dora, "DoRA is not served"),
        (_not_an_object, "not a JSON object"),
        (_other_tokens, "other tokens than base"),
    ],
)
def test_what_cannot_be_published_is_not_pulled(
    hub: Hub,
    elsewhere: Registry,
    theirs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Hub, Path], None],
    part: str,
) -> None:
    """One sentence that names the repository and the commit; nothing is left here, not even in the folder for temporary files."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    spoil(hub, theirs)
    before, changes = tree(Path(elsewhere.location)), elsewhere.last_event_id()
    with pytest.raises(InvalidArtifact) as raised:
        pull(elsewhere, "stranger/theirs")
    commit = hub.repositories["stranger/theirs"].head.sha
    assert part in raised.value.message
    assert f"'stranger/theirs@{commit}'" in raised.value.message
    assert str(tmp_path) not in raised.value.message
    assert elsewhere.last_event_id() == changes
    assert tree(Path(elsewhere.location)) == before
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("spoil", [_pickled, _over_the_limit, _without_config])
def test_names_and_sizes_are_judged_before_any_download(
    hub: Hub, elsewhere: Registry, theirs: Path, spoil: Callable[[Hub, Path], None]
) -> None:
    spoil(hub, theirs)
    hub.log.clear()
    with pytest.raises(InvalidArtifact):
        pull(elsewhere, "stranger/theirs")
    assert not any("/resolve/" in e.path for e in hub.log)


def test_weights_over_the_limit_are_not_downloaded(
    hub: Hub, elsewhere: Registry, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit that a test can afford."""
    monkeypatch.setitem(artifact_folder.READ_LIMITS, "adapter_model.safetensors", 1000)
    hub.log.clear()
    with pytest.raises(InvalidArtifact, match="reads at most 1000"):
        pull(elsewhere, "stranger/theirs")
    assert hub.sent("adapter_model.safetensors") == 0


def test_missing_and_hidden_repositories_look_alike(hub: Hub, elsewhere: Registry, theirs: Path) -> None:
    hub.seed("stranger/hidden", theirs, private=True)
    sentences = []
    for name in ("hidden", "nothing"):
        with pytest.raises(NotFound) as raised:
            pull(elsewhere, f"stranger/{name}")
        sentences.append(raised.value.message.replace(name, "NAME"))
    assert sentences[0] == sentences[1]
    assert "HF_TOKEN" in sentences[0]


def test_a_missing_revision_is_said(hub: Hub, elsewhere: Registry, theirs: Path) -> None:
    with pytest.raises(NotFound, match="no such revision"):
        pull(elsewhere, "stranger/theirs", "nowhere")


@pytest.mark.parametrize("token", [None, "hf_acmes_token_that_may_write"])
def test_a_gated_repository_says_where_its_conditions_are(
    hub: Hub, elsewhere: Registry, theirs: Path, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    hub.seed("stranger/theirs", theirs, gated=True)
    with pytest.raises(NotFound, match=f"gated: accept its conditions at {hub.url}/stranger/theirs"):
        pull(elsewhere, "stranger/theirs")


def test_no_token_is_needed_for_what_is_public(
    hub: Hub, elsewhere: Registry, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert pull(elsewhere, "stranger/theirs").published.created


def test_a_wrong_token_is_said(hub: Hub, elsewhere: Registry, theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")
    with pytest.raises(NotAllowed, match="does not accept the token"):
        pull(elsewhere, "stranger/theirs")


def test_trouble_in_the_middle_leaves_nothing(hub: Hub, elsewhere: Registry, theirs: Path) -> None:
    hub.before = lambda request: Answer(status=403) if "/stored/" in request.path else None
    before = tree(Path(elsewhere.location))
    with pytest.raises(NotAllowed):
        pull(elsewhere, "stranger/theirs")
    assert elsewhere.adapters() == ()
    assert tree(Path(elsewhere.location)) == before


def test_no_hub_at_that_address_is_said(elsewhere: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="cannot be reached"):
        pull(elsewhere, "stranger/theirs")


def test_bad_names_are_said_before_the_hub_is_asked(hub: Hub, elsewhere: Registry) -> None:
    hub.log.clear()
    for repo_id, revision, name in [("theirs", None, None), ("a/b", "../c", None), ("a/b", None, "No Name")]:
        with pytest.raises(UsageError):
            pull(elsewhere, repo_id, revision, name)
    assert hub.log == []
