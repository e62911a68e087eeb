"""From a recipe to published versions, on a tiny base."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.training.conftest import write_rows
from tests.tiny import BASE_CONFIG, base_tensors, tiny_base, write_json, write_safetensors

from lorarack.adapters.data import load_rows
from lorarack.adapters.data.row_digests import rows_among
from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.progress import Silent
from lorarack.adapters.training.run import train
from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import Conflict, EngineError, NotFound, UsageError

pytestmark = pytest.mark.torch

Make = Callable[..., Recipe]


class Heard(Silent):
    """Remembers the validations."""

    def __init__(self) -> None:
        self.validations: list[tuple[int, float, bool]] = []

    def validated(self, step: int, train_loss: float | None, loss: float, best: bool) -> None:
        self.validations.append((step, loss, best))


def test_every_rank_becomes_a_version_with_all_that_is_known(tmp_path: Path, registry: Registry, recipe: Make) -> None:
    """Losses, curves, data, settings, software: complete, and without a path of this machine."""
    published = train(recipe(ranks=[2, 4], eval_every=3), registry)
    assert [done.version.rank for done in published] == [2, 4]
    for done in published:
        version = done.version
        assert version.alpha == 2 * version.rank
        train_curve, curve = version.curve("loss", "train"), version.curve("loss", "validation")
        assert [point.step for point in train_curve] == [1, 2, 3, 4, 5, 6]
        assert [point.step for point in curve] == [3, 6]
        final = version.metric("loss", "validation")
        assert final is not None
        assert final.value == min(point.value for point in curve)
        assert version.metric("loss", "train") is not None
        origin = version.provenance
        assert origin is not None
        assert {part.split: part.rows for part in origin.datasets} == {"train": 12, "validation": 4}
        known = {part.split: part.row_digests for part in origin.datasets}
        assert (
            rows_among(load_rows(tmp_path / "train.jsonl"), known["train"] or "")
            == load_rows(tmp_path / "train.jsonl").rows
        )
        assert rows_among(load_rows(tmp_path / "train.jsonl"), known["validation"] or "") == ()
        assert origin.recipe["ranks"] == [version.rank]
        assert origin.wall_seconds
        assert {"torch", "peft", "python"} <= origin.versions.keys()
        assert str(Path(registry.location).parent) not in json.dumps(version.to_json())
    assert len({done.version.tags["recipe"] for done in published}) == 1


def test_it_learns(registry: Registry, recipe: Make) -> None:
    """Sixty steps bring the loss on the training rows down by a fifth; the base is small and random, so no more."""
    (done,) = train(recipe(max_steps=60, learning_rate=0.03, ranks=[8]), registry)
    curve = done.version.curve("loss", "train")
    assert curve[-1].value < 0.8 * curve[0].value


def test_the_same_recipe_and_seed_give_the_same_digest(tmp_path: Path, tiny_folder: Path, recipe: Make) -> None:
    """Two registries, two runs, one digest; another seed gives another. Dropout is on, so that it counts too."""
    digests = []
    for place, seed in (("one", 1), ("two", 1), ("three", 2)):
        with open_registry(tmp_path / place) as registry:
            registry.add_base(str(tiny_folder), "tiny")
            (done,) = train(recipe(seed=seed, dropout=0.1), registry)
            digests.append(done.version.digest)
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_the_best_checkpoint_is_what_is_published(tmp_path: Path, registry: Registry, recipe: Make) -> None:
    """Rows that teach the opposite make validation worse with every step: training stops early, the first is kept."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from lorarack.adapters.data import load_rows
    from lorarack.adapters.training.encode import encode_rows
    from lorarack.adapters.training.loss import mean_loss

    opposite = write_rows(tmp_path / "opposite.jsonl", "mnop", shift=-3)
    plan = recipe(
        data={"train": str(tmp_path / "train.jsonl"), "validation": str(opposite)},
        max_steps=60,
        eval_every=2,
        patience=3,
        learning_rate=0.05,
        schedule="constant",
    )
    heard = Heard()
    (done,) = train(plan, registry, heard)
    version = done.version
    best = min(heard.validations, key=lambda found: found[1])
    assert heard.validations[-1][0] < 60
    assert heard.validations[-1][0] == best[0] + 3 * 2
    final = version.metric("loss", "validation")
    assert final is not None
    assert final.value == best[1]
    folder = registry.fetch(version, tmp_path / "fetched")
    source = registry.base("tiny").source
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32), folder)
    rows = encode_rows(load_rows(opposite), AutoTokenizer.from_pretrained(source), 64)
    assert mean_loss(model, rows, 0, 4) == pytest.approx(final.value, rel=1e-5)


def test_what_was_trained_is_found_again(tmp_path: Path, registry: Registry, recipe: Make) -> None:
    """With ``reuse`` the same recipe returns its version; another rank, alpha or row trains."""
    (first,) = train(recipe(), registry)
    again, other = train(recipe(ranks=[4, 2]), registry, reuse=True)
    assert (again.version.number, again.created) == (first.version.number, False)
    assert other.created
    assert train(recipe(alpha=3), registry, reuse=True)[0].created
    write_rows(tmp_path / "train.jsonl", "abcdef")
    assert train(recipe(), registry, reuse=True)[0].created


def test_conversations_train_through_the_template(tmp_path: Path, recipe: Make) -> None:
    """Rows of ``messages`` train on a base that has a chat template; validation rows are set aside by themselves."""
    folder = tiny_base(tmp_path / "chat-base", seed=3)
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m['content'] }}</s>{% endfor %}{% if add_generation_prompt %}>{% endif %}"
    )
    messages = [
        [{"role": "user", "content": f"{letter}?"}, {"role": "assistant", "content": letter * 2}]
        for letter in "abcdefghij"
    ]
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(json.dumps({"messages": turns}) + "\n" for turns in messages))
    with open_registry(tmp_path / "home2") as registry:
        registry.add_base(str(folder), "chatty")
        (done,) = train(recipe(base="chatty", data={"train": str(path), "validation_fraction": 0.2}), registry)
    assert done.version.provenance is not None
    assert {part.split: part.rows for part in done.version.provenance.datasets} == {"train": 8, "validation": 2}


@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_and_head_are_trained_and_published(
    tmp_path: Path, registry: Registry, recipe: Make, tied: bool
) -> None:
    """On a tied base too, where neither brings the base's own tensor along (tests/starts/test_compiled.py serves them)."""
    folder = tiny_base(tmp_path / "other", seed=6)
    if not tied:
        write_json(folder / "config.json", {**BASE_CONFIG, "tie_word_embeddings": False})
        head = base_tensors(7)["model.embed_tokens.weight"]
        write_safetensors(folder / "model.safetensors", {**base_tensors(6), "lm_head.weight": head})
    registry.add_base(str(folder), "other")
    (done,) = train(recipe(base="other", target_modules=["lm_head", "embed_tokens", "q_proj"], max_steps=2), registry)
    assert done.version.target_modules == ("embed_tokens", "lm_head", "q_proj")


def test_a_run_that_diverges_publishes_nothing(tmp_path: Path, recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that are no longer numbers end in one sentence; nothing is published, and no file stays behind."""
    folder = tiny_base(tmp_path / "broken", seed=4)
    tensors: dict[str, Any] = base_tensors(4)
    tensors["model.norm.weight"] = tensors["model.norm.weight"] * float("nan")
    write_safetensors(folder / "model.safetensors", tensors)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with open_registry(tmp_path / "home3") as registry:
        registry.add_base(str(folder), "broken")
        with pytest.raises(EngineError, match=r"diverged at step 1: .* Lower learning_rate"):
            train(recipe(base="broken"), registry)
        assert registry.adapters() == ()
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"base": "tinny"}, NotFound, "no base model 'tinny'"),
        ({"data": "nowhere.jsonl"}, NotFound, "no data file"),
        ({"target_modules": ["q_prj"]}, UsageError, "no module 'q_prj'; did you mean 'q_proj'?"),
        ({"max_length": 8, "data": "{long}"}, UsageError, "longer than max_length=8"),
        ({"data": {"train": "{train}", "validation": "{train}"}}, UsageError, "12 of the 12 validation rows"),
        ({"data": {"train": "{train}", "validation": "{valid}", "test": "{train}"}}, UsageError, "12 test rows"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    tmp_path: Path, registry: Registry, recipe: Make, changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    """One sentence, and the registry as it was."""
    recipe()  # writes the rows
    write_rows(tmp_path / "long.jsonl", "ab").write_text(
        '{"prompt": "abcdefgh", "completion": "i"}\n' * 2 + '{"prompt": "a", "completion": "b"}\n'
    )
    places = {
        name: str(tmp_path / f"{file}.jsonl")
        for name, file in (("train", "train"), ("valid", "validation"), ("long", "long"))
    }
    filled = json.loads(
        json.dumps(changes)
        .replace("{train}", places["train"])
        .replace("{valid}", places["valid"])
        .replace("{long}", places["long"])
    )
    with pytest.raises(error, match=said.replace("?", r"\?")):
        train(recipe(**filled), registry)
    assert registry.adapters() == ()


def test_an_adapter_stays_on_its_base(tmp_path: Path, registry: Registry, recipe: Make) -> None:
    """The name of an adapter on another base is refused before an hour of training, not after."""
    train(recipe(max_steps=1), registry)
    registry.add_base(str(tiny_base(tmp_path / "second", seed=9)), "second")
    with pytest.raises(Conflict, match="is for base 'tiny'"):
        train(recipe(base="second"), registry)


@pytest.mark.parametrize(
    "raised",
    [ValueError("Your setup doesn't support bf16/gpu."), RuntimeError(), KeyError("lm_head"), ImportError("a\nb")],
)
def test_what_other_libraries_raise_is_one_sentence(raised: Exception) -> None:
    """transformers says ValueError where a device cannot do what was asked; an error may say nothing at all."""
    from lorarack.adapters.training.train_rank import _faults

    with pytest.raises(EngineError, match="Training at rank 4 failed: ") as caught, _faults(4):
        raise raised
    assert "\n" not in caught.value.message
    assert caught.value.message != "Training at rank 4 failed: "
