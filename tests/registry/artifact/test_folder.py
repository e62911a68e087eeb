"""What a folder may hold: what is kept, what is ignored unopened, what is refused."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.registry.artifacts import read_artifact
from tests.tiny import adapter_tensors, change_config, write_json, write_safetensors

from lorarack.registry import Base
from lorarack.registry.artifact import limits
from lorarack.registry.artifact.validate import Artifact
from lorarack.registry.errors import InvalidArtifact, NotFound

#: What Trainer and TRL leave in a checkpoint folder beside the adapter.
TRAINER_LEFTOVERS = ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt", "README.md")


def problems_of(folder: Path, base: Base) -> tuple[str, ...]:
    with pytest.raises(InvalidArtifact) as raised:
        read_artifact(folder, base)
    return raised.value.problems


def like_a_trainer(folder: Path, base_folder: Path) -> Path:
    """Turn an adapter's folder into what TRL's SFTTrainer leaves: checkpoint files, tokenizer, an older checkpoint inside."""
    for name in TRAINER_LEFTOVERS:
        (folder / name).write_bytes(b"\x80\x04never opened")
    (folder / "checkpoint-10").mkdir()
    (folder / "checkpoint-10" / "adapter_model.safetensors").write_bytes(b"older")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((base_folder / name).read_bytes())
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    history = [
        {"step": 5, "loss": 2.5, "learning_rate": 1e-3, "epoch": 0.5},
        {"step": 10, "eval_loss": 2.25, "eval_runtime": 0.1, "epoch": 1.0},
        {"step": 10, "train_runtime": 3.0, "train_loss": 2.4},
    ]
    write_json(folder / "trainer_state.json", {"global_step": 10, "log_history": history})
    return folder


def test_a_trainers_output_folder_publishes_as_it_is(adapter: Path, base: Base, base_folder: Path) -> None:
    """The adapter, its template and its curves are taken; everything else is ignored, and said so."""
    artifact = read_artifact(like_a_trainer(adapter, base_folder), base)
    assert artifact.prompt_settings.chat_template == b"{{ messages }}"
    assert [(m.label, m.step, m.value) for m in artifact.curves] == [("train_loss", 5, 2.5), ("eval_loss", 10, 2.25)]
    assert artifact.final is not None
    assert (artifact.final.label, artifact.final.step, artifact.final.value) == ("eval_loss", None, 2.25)
    note, _ = artifact.notes
    for name in (*TRAINER_LEFTOVERS, "checkpoint-10", "tokenizer_config.json"):
        assert name in note
    assert "adapter_model.safetensors" not in note


def test_what_is_ignored_is_never_opened(adapter: Path, base: Base, base_folder: Path) -> None:
    """A pipe in place of each pickle: opening one would block for ever, and this test with it."""
    like_a_trainer(adapter, base_folder)
    for name in TRAINER_LEFTOVERS:
        (adapter / name).unlink()
        os.mkfifo(adapter / name)
    (adapter / "checkpoint-10").chmod(0)
    assert read_artifact(adapter, base).rank == 4


def test_only_files_that_are_needed_are_opened_and_each_once(adapter: Path, base: Base, base_folder: Path) -> None:
    """What is opened a second time need not be what was checked the first time."""
    like_a_trainer(adapter, base_folder)
    with opened_files() as opened:
        read_artifact(adapter, base)
    kept = {"adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "trainer_state.json"}
    ours = [Path(path).name for path in opened if path != str(adapter)]
    assert sorted(ours) == sorted(kept | {"tokenizer.json", "tokenizer_config.json"})


_watchers: list[list[str]] = []


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and _watchers and isinstance(args[0], str | os.PathLike):
        _watchers[-1].append(os.fspath(args[0]))


sys.addaudithook(_watch)  # stays for the process, and does nothing but inside ``opened_files``


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Paths that this process opens meanwhile, however it does."""
    _watchers.append([])
    try:
        yield _watchers[-1]
    finally:
        _watchers.pop()


def test_a_missing_folder_is_not_found(tmp_path: Path, base: Base) -> None:
    with pytest.raises(NotFound, match=r"There is no folder .*nowhere.*save_pretrained"):
        read_artifact(tmp_path / "nowhere", base)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotFound, match=r"There is no folder .*: it is a file; give the folder"):
        read_artifact(tmp_path / "file", base)
    with pytest.raises(NotFound, match=r"one that is on the Hub is taken with 'lorarack pull'"):
        read_artifact(Path("acme/orders-lora"), base)
    with pytest.raises(NotFound, match="There is no folder"):
        read_artifact(tmp_path / ("n" * 300), base)


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def replace(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def grow(name: str, size: int) -> Callable[[Path], object]:
    """A file of ``size`` bytes that takes no room on the disk."""

    def work(folder: Path) -> None:
        (folder / name).touch()
        os.truncate(folder / name, size)

    return work


def link(name: str) -> Callable[[Path], object]:
    def work(folder: Path) -> None:
        target = folder.parent / f"outside-{name}"
        if (folder / name).exists():
            (folder / name).rename(target)
        (folder / name).symlink_to(target)

    return work


def pickled(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def pipe(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()
    os.mkfifo(folder / "adapter_config.json")


def only_in_a_checkpoint(folder: Path) -> None:
    (folder / "checkpoint-20").mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).rename(folder / "checkpoint-20" / name)


WRONG_SHAPE: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no configuration": (remove("adapter_config.json"), ("no adapter_config.json; give the folder that PEFT's",)),
    "no weights": (remove("adapter_model.safetensors"), ("no adapter_model.safetensors",)),
    "weights in a pickle": (
        pickled,
        ("a pickle (adapter_model.bin), which can run code when opened; save them again with save_pretrained",),
    ),
    "nothing but a checkpoint": (only_in_a_checkpoint, ("for example its 'checkpoint-20'", "no adapter_model")),
    "linked weights": (link("adapter_model.safetensors"), ("is a link; copy the file",)),
    "linked configuration": (link("adapter_config.json"), ("is a link; copy the file",)),
    "any link": (link("notes.txt"), ("'notes.txt' is a link",)),
    "a link to the folder above": (lambda folder: (folder / "up").symlink_to(".."), ("'up' is a link",)),
    "a configuration that is a pipe": (pipe, ("is not a plain file",)),
    "a configuration over the limit": (
        grow("adapter_config.json", limits.MAX_CONFIG_BYTES + 1),
        (f"has {limits.MAX_CONFIG_BYTES + 1} bytes; lorarack reads at most {limits.MAX_CONFIG_BYTES}",),
    ),
    "weights over the limit": (
        grow("adapter_model.safetensors", limits.MAX_WEIGHT_BYTES + 1),
        ("lorarack reads at most",),
    ),
    "a trainer's state over the limit": (
        grow("trainer_state.json", limits.MAX_TRAINER_STATE_BYTES + 1),
        ("lorarack reads at most",),
    ),
    "a tokenizer over the limit": (grow("tokenizer.json", limits.MAX_TOKENIZER_BYTES + 1), ("reads at most",)),
    "a template over the limit": (grow("chat_template.jinja", limits.MAX_TEMPLATE_BYTES + 1), ("reads at most",)),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "said"), WRONG_SHAPE.values(), ids=WRONG_SHAPE)
def test_a_folder_of_the_wrong_shape_is_refused(
    spoil: Callable[[Path], object], said: tuple[str, ...], adapter: Path, base: Base
) -> None:
    """Each problem is there, with what to do about it, and no other."""
    spoil(adapter)
    problems = problems_of(adapter, base)
    assert len(problems) == len(said), problems
    for part in said:
        assert any(part in problem for problem in problems), problems


def test_too_many_files_are_refused(adapter: Path, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_FILES", 3)
    (adapter / "one-more").touch()
    assert "more than 3 files" in problems_of(adapter, base)[0]


# Tokenizers


def test_a_tokenizer_that_differs_in_form_only_is_ignored(adapter: Path, base: Base, base_folder: Path) -> None:
    """Formatting, order and post-processing are not tokens."""
    data = json.loads((base_folder / "tokenizer.json").read_text())
    data["model"]["vocab"] = dict(reversed(data["model"]["vocab"].items()))
    data["truncation"] = {"max_length": 5}
    (adapter / "tokenizer.json").write_text(json.dumps(data))
    (adapter / "added_tokens.json").write_text('{"<s>": 1}')
    assert isinstance(read_artifact(adapter, base), Artifact)


def test_a_tokenizer_that_adds_or_moves_tokens_is_refused(adapter: Path, base: Base, base_folder: Path) -> None:
    data = json.loads((base_folder / "tokenizer.json").read_text())
    data["added_tokens"].append({"id": 64, "content": "<new>"})
    write_json(adapter / "tokenizer.json", data)
    assert "other tokens than base 'tiny'; adapters that add tokens cannot be served" in problems_of(adapter, base)[0]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"{}", b'{"model": {"vocab": {"a": "b"}}}', b'{"model": {"vocab": {"a": %s}}}' % (b"[" * 900 + b"]" * 900)],
    ids=["empty", "half", "list", "object", "no numbers", "deep"],
)  # fmt: skip
def test_a_tokenizer_that_cannot_be_read_is_refused(raw: bytes, adapter: Path, base: Base) -> None:
    (adapter / "tokenizer.json").write_bytes(raw)
    assert "tokenizer.json cannot be read; remove the tokenizer files" in problems_of(adapter, base)[0]


def test_added_tokens_without_a_tokenizer_are_refused(adapter: Path, base: Base) -> None:
    (adapter / "added_tokens.json").write_text('{"<new>": 64}')
    assert "added_tokens.json" in problems_of(adapter, base)[0]
    (adapter / "added_tokens.json").write_text("{}\n")
    assert isinstance(read_artifact(adapter, base), Artifact)


# The trainer's state


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b'{"log_history": 3}', b'{"log_history": [3, null, {"loss": 1}]}', b"[" * 10_000,
        b'{"log_history": [{"step": 1, "loss": NaN}, {"step": -1, "loss": 1.0}, {"step": 1, "loss": "x"}]}',
        b'{"log_history": [{"step": 1, "loss": 1%s}, {"step": 1%s, "loss": 1.0}]}' % (b"0" * 400, b"0" * 400),
        b'{"log_history": [{"step": true, "loss": 1.0}, {"step": 1, "loss": true}]}',
    ],
)  # fmt: skip
def test_a_trainers_state_that_is_no_such_thing_gives_no_curves(raw: bytes, adapter: Path, base: Base) -> None:
    (adapter / "trainer_state.json").write_bytes(raw)
    assert read_artifact(adapter, base).curves == ()


# Several things at once


def test_every_problem_of_the_contents_is_named_at_once(adapter: Path, base: Base) -> None:
    """Configuration, weights and tokenizer are all looked at before anything is said."""
    change_config(adapter, use_dora=True, r=0)
    tensors = adapter_tensors()
    tensors["lm_head.weight"] = next(iter(tensors.values()))
    write_safetensors(adapter / "adapter_model.safetensors", tensors)
    (adapter / "added_tokens.json").write_text('{"<new>": 64}')
    found = "\n".join(problems_of(adapter, base))
    for part in ("DoRA", "r: ", "lm_head.weight", "added_tokens.json"):
        assert part in found


def test_the_same_folder_does_not_fit_another_base(adapter: Path, base: Base) -> None:
    narrower = base.model_copy(update={"modules": dict.fromkeys(base.modules, (4, 4))})
    problems = problems_of(adapter, narrower)
    assert any("but base 'tiny' has 4 and 4 there; it was trained on another base" in problem for problem in problems)
