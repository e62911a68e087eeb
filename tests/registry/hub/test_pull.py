"""Pulling from a repository, with the real client against the stand-in."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.messages import Answer, Request
from tests.registry.hub.conftest import METRICS, tree
from tests.tiny import change_config, tiny_adapter, tiny_base, write_json

from lorarack.registry import Published, Registry, open_registry
from lorarack.registry.artifact import folder as artifact_folder
from lorarack.registry.errors import Conflict, InvalidArtifact, NotAllowed, NotFound, Unavailable, UsageError
from lorarack.registry.hub.pull import pull
from lorarack.registry.hub.push import push


@pytest.fixture
def theirs(hub: Hub, tmp_path: Path) -> Path:
    """A repository ``stranger/theirs`` as PEFT alone would push it; tests spoil the folder and seed it again."""
    folder = change_config(tiny_adapter(tmp_path / "theirs", seed=5), base_model_name_or_path="acme/tiny-base")
    hub.seed("stranger/theirs", folder)
    return folder


def test_push_then_pull_is_the_same_version(
    hub: Hub, registry: Registry, elsewhere: Registry, orders: Published
) -> None:
    """Digest, files, chat template, results, tags and description make the round trip; where it came from is kept."""
    pushed = push(registry, "orders", "acme/orders")
    pulled = pull(elsewhere, "acme/orders", name="orders")
    here, there = orders.version, pulled.published.version
    assert pulled.published.created
    assert (there.digest, there.files) == (here.digest, here.files)
    assert there.metrics == METRICS[1:], "all but the points of curves"
    assert (there.tags, there.description) == (here.tags, here.description)
    assert pulled.commit == pushed.commit
    assert there.provenance is not None
    assert there.provenance.source == f"acme/orders@{pushed.commit}"
    assert pulled.notes == ()


def test_pulling_again_adds_nothing(hub: Hub, registry: Registry, elsewhere: Registry, orders: Published) -> None:
    push(registry, "orders", "acme/orders")
    first = pull(elsewhere, "acme/orders").published
    second = pull(elsewhere, "acme/orders").published
    assert (first.created, second.created) == (True, False)
    assert second.version == first.version


def test_without_a_name_the_repository_gives_it(hub: Hub, elsewhere: Registry, theirs: Path) -> None:
    hub.repositories["Stranger/Theirs"] = hub.repositories["stranger/theirs"]
    assert pull(elsewhere, "Stranger/Theirs").published.version.reference == "stranger/theirs@1"


def test_a_folder_that_peft_alone_pushed_is_pulled_too(hub: Hub, elsewhere: Registry, theirs: Path) -> None:
    pulled = pull(elsewhere, "stranger/theirs", name="theirs")
    assert pulled.published.version.rank == 4
    assert pulled.published.version.metrics == ()


def test_a_branch_or_a_commit_can_be_asked_for(hub: Hub, elsewhere: Registry, theirs: Path, tmp_path: Path) -> None:
    repository = hub.repositories["stranger/theirs"]
    first = repository.head.sha
    other = change_config(tiny_adapter(tmp_path / "other", rank=8), base_model_name_or_path="acme/tiny-base")
    files = {path.name: path.read_bytes() for path in other.iterdir()}
    second = repository.commit(files, "rank 8", branch="wider").sha
    assert pull(elsewhere, "stranger/theirs", "wider", "a").commit == second
    assert pull(elsewhere, "stranger/theirs", first, "b").published.version.rank == 4
    assert pull(elsewhere, "stranger/theirs", second, "c").published.version.rank == 8


def test_a_branch_that_moves_meanwhile_changes_nothing(
    hub: Hub, elsewhere: Registry, theirs: Path, tmp_path: Path
) -> None:
    """The revision is pinned first; half of one commit and half of another would be no adapter at all."""
    repository = hub.repositories["stranger/theirs"]
    first = repository.head.sha
    other = tiny_adapter(tmp_path / "other", rank=8, seed=9)
    moved = {path.name: path.read_bytes() for path in other.iterdir()}

    def move(request: Request) -> None:
        if "/resolve/" in request.path and repository.head.sha == first:
            repository.commit(moved, "force push")

    hub.before = move
    pulled = pull(elsewhere, "stranger/theirs")
    assert repository.head.sha != first
    assert (pulled.commit, pulled.published.version.rank) == (first, 4)


def test_only_the_files_that_matter_are_downloaded(hub: Hub, elsewhere: Registry, theirs: Path) -> None:
    (theirs / "optimizer.pt").write_bytes(b"\0" * 100_000)
    (theirs / "training_args.bin").write_bytes(b"never opened")
    (theirs / "checkpoint-10").mkdir()
    (theirs / "checkpoint-10" / "adapter_model.safetensors").write_bytes(b"\0" * 1000)
    hub.seed("stranger/theirs", theirs)
    hub.log.clear()
    pull(elsewhere, "stranger/theirs")
    asked = {e.path.rpartition("/")[2] for e in hub.log if "/resolve/" in e.path or "/stored/" in e.path}
    assert asked == {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    assert not any("checkpoint-10" in e.path for e in hub.log)


def test_a_card_about_other_weights_gives_no_metrics(
    hub: Hub, registry: Registry, elsewhere: Registry, orders: Published, tmp_path: Path
) -> None:
    push(registry, "orders", "acme/orders")
    other = tiny_adapter(tmp_path / "other", seed=9) / "adapter_model.safetensors"
    hub.repositories["acme/orders"].commit({"adapter_model.safetensors": other.read_bytes()}, "other weights")
    pulled = pull(elsewhere, "acme/orders")
    assert pulled.published.version.metrics == ()
    assert "about other files" in pulled.notes[0]


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
    before, changes = tree(elsewhere.home), elsewhere.changes()
    with pytest.raises(InvalidArtifact) as raised:
        pull(elsewhere, "stranger/theirs")
    commit = hub.repositories["stranger/theirs"].head.sha
    assert part in raised.value.message
    assert f"'stranger/theirs@{commit}'" in raised.value.message
    assert str(tmp_path) not in raised.value.message
    assert elsewhere.changes() == changes
    assert tree(elsewhere.home) == before
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


def test_an_unknown_base_is_said_before_the_weights_are_downloaded(hub: Hub, theirs: Path, tmp_path: Path) -> None:
    with open_registry(tmp_path / "empty") as empty:
        with pytest.raises(NotFound, match=r"'acme/tiny-base'.*'lorarack base add acme/tiny-base'.*--base"):
            pull(empty, "stranger/theirs")
        assert empty.adapters() == ()
    assert hub.sent("adapter_model.safetensors") == 0


@pytest.mark.parametrize("named", [None, "", 7, "{folder}", "~nobody/base", "/\0", "x" * 5000])
def test_what_a_stranger_calls_the_base_is_not_looked_up_as_a_folder(
    hub: Hub, registry: Registry, theirs: Path, base_folder: Path, named: object
) -> None:
    """PEFT writes its own machine's path there; that the same path is a base here means nothing."""
    name = str(base_folder) if named == "{folder}" else named
    hub.seed("stranger/theirs", change_config(theirs, base_model_name_or_path=name))
    with pytest.raises(NotFound, match="--base"):
        pull(registry, "stranger/theirs")
    assert pull(registry, "stranger/theirs", base="tiny").published.created


def test_the_base_may_go_by_its_plain_name(hub: Hub, registry: Registry, theirs: Path) -> None:
    hub.seed("stranger/theirs", change_config(theirs, base_model_name_or_path="tiny"))
    assert pull(registry, "stranger/theirs").published.version.base == "tiny"


def test_the_wrong_base_is_refused(hub: Hub, elsewhere: Registry, theirs: Path, tmp_path: Path) -> None:
    """The shapes are checked against the base, not only the name."""
    other = tiny_base(tmp_path / "other-base")
    config = json.loads((other / "config.json").read_text())
    write_json(other / "config.json", config | {"vocab_size": 65})
    (other / "model.safetensors").write_bytes((theirs / "adapter_model.safetensors").read_bytes())
    elsewhere.add_base(str(other), "other")
    with pytest.raises(InvalidArtifact, match="no module of base 'other'"):
        pull(elsewhere, "stranger/theirs", base="other")


def test_another_revision_of_the_base_is_noted(hub: Hub, elsewhere: Registry, theirs: Path) -> None:
    hub.seed("stranger/theirs", change_config(theirs, revision="f" * 40))
    (note,) = pull(elsewhere, "stranger/theirs").notes
    assert "trained on revision ffff" in note


def test_an_adapter_on_another_base_is_not_mixed(hub: Hub, elsewhere: Registry, theirs: Path, tmp_path: Path) -> None:
    elsewhere.add_base(str(tiny_base(tmp_path / "other-base", seed=1)), "other")
    pull(elsewhere, "stranger/theirs", name="mine", base="other")
    with pytest.raises(Conflict, match="other"):
        pull(elsewhere, "stranger/theirs", name="mine")


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
    before = tree(elsewhere.home)
    with pytest.raises(NotAllowed):
        pull(elsewhere, "stranger/theirs")
    assert elsewhere.adapters() == ()
    assert tree(elsewhere.home) == before


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
