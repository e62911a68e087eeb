"""Pulling from a repository, with the real client against the stand-in."""

from pathlib import Path

from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.messages import Request
from tests.registry.hub.conftest import METRICS
from tests.tiny import change_config, tiny_adapter

from lorarack.registry import Published, Registry
from lorarack.registry.hub.pull import pull
from lorarack.registry.hub.push import push


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
    (note,) = pulled.notes
    assert "Its chat template is not that of base" in note, "as when it was published"


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
