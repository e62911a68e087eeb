"""Tokenizer files beside an adapter: only tokens that can reach the model count."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.registry.artifacts import read_artifact
from tests.tiny import VOCABULARY, tokenizer, write_json

from lorarack.registry import Base, Registry
from lorarack.registry.errors import InvalidArtifact

OWN = {token["content"]: token["id"] for token in tokenizer()["added_tokens"]}
PAD_NOTE = "Its tokenizer has the padding token '[PAD]' more than base 'tiny'."


def with_tokens(**tokens: int) -> dict[str, Any]:
    """The base's tokenizer with tokens added."""
    data = tokenizer()
    data["added_tokens"] += [{"id": number, "content": token, "special": True} for token, number in tokens.items()]
    return data


def padded(folder: Path) -> Path:
    """As ``tokenizer.add_special_tokens({"pad_token": "[PAD]"})`` leaves it."""
    write_json(folder / "tokenizer.json", with_tokens(**{"[PAD]": VOCABULARY}))
    write_json(folder / "special_tokens_map.json", {"pad_token": {"content": "[PAD]", "special": True}})
    return write_json(folder / "tokenizer_config.json", {"pad_token": "[PAD]", "eos_token": "</s>"})


def publish(registry: Registry, adapter: Path) -> tuple[str, ...]:
    return registry.publish(adapter, "support", base="tiny").notes


def refusal(registry: Registry, adapter: Path) -> str:
    with pytest.raises(InvalidArtifact) as raised:
        publish(registry, adapter)
    (problem,) = raised.value.problems
    return problem


# What cannot reach the model


def test_a_padding_token_more_publishes_with_a_note(adapter: Path, registry: Registry) -> None:
    padded(adapter)
    assert any(note.startswith(PAD_NOTE) for note in publish(registry, adapter))


def test_a_padding_token_more_needs_none_of_the_bases_files(adapter: Path, base: Base) -> None:
    """It is the base's tokenizer once that token is gone."""
    padded(adapter)
    assert any(note.startswith(PAD_NOTE) for note in read_artifact(adapter, base).notes)


def test_the_tokenizers_own_word_on_padding_is_enough(adapter: Path, registry: Registry) -> None:
    data = with_tokens(**{"[PAD]": VOCABULARY}) | {"padding": {"pad_token": "[PAD]", "pad_id": VOCABULARY}}
    write_json(adapter / "tokenizer.json", data)
    assert any(note.startswith(PAD_NOTE) for note in publish(registry, adapter))


def test_a_padding_token_of_a_slow_tokenizer_publishes_too(adapter: Path, registry: Registry) -> None:
    write_json(adapter / "added_tokens.json", {**OWN, "[PAD]": VOCABULARY})
    write_json(adapter / "special_tokens_map.json", {"pad_token": "[PAD]"})
    assert any(note.startswith(PAD_NOTE) for note in publish(registry, adapter))


OWN_TOKENS: dict[str, Callable[[Path], object]] = {
    "all of the base's added tokens": lambda folder: write_json(folder / "added_tokens.json", OWN),
    "one of them": lambda folder: write_json(folder / "added_tokens.json", {"</s>": OWN["</s>"]}),
    "beside the whole tokenizer": lambda folder: [
        write_json(folder / "added_tokens.json", OWN),
        write_json(folder / "tokenizer.json", tokenizer()),
    ],
    "listed by id": lambda folder: write_json(
        folder / "tokenizer_config.json",
        {"added_tokens_decoder": {str(number): {"content": token} for token, number in OWN.items()}},
    ),
    "a slow tokenizer's files": lambda folder: [
        write_json(folder / "added_tokens.json", OWN),
        write_json(folder / "vocab.json", tokenizer()["model"]["vocab"]),
    ],
    "none at all": lambda folder: write_json(folder / "added_tokens.json", {}),
}


@pytest.mark.parametrize("write", OWN_TOKENS.values(), ids=OWN_TOKENS)
def test_tokens_that_are_the_bases_own_publish(
    write: Callable[[Path], object], adapter: Path, registry: Registry
) -> None:
    write(adapter)
    assert not any("padding" in note for note in publish(registry, adapter))


# What can


def templated(text: str, name: str = "chat_template.jinja") -> Callable[[Path], object]:
    def work(folder: Path) -> None:
        padded(folder)
        if name == "chat_template.jinja":
            (folder / name).write_text(text)
        else:
            data = json.loads((folder / "tokenizer_config.json").read_text())
            several = [{"name": "default", "template": text}] if name == "several" else text
            write_json(folder / "tokenizer_config.json", data | {"chat_template": several})

    return work


def role(name: str) -> Callable[[Path], object]:
    def work(folder: Path) -> None:
        padded(folder)
        write_json(folder / "special_tokens_map.json", {"pad_token": "[PAD]", name: "[PAD]"})

    return work


def processed(folder: Path) -> None:
    padded(folder)
    data = with_tokens(**{"[PAD]": VOCABULARY})
    single = [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "[PAD]", "type_id": 0}}]
    write_json(folder / "tokenizer.json", data | {"post_processor": {"type": "TemplateProcessing", "single": single}})


WRITTEN: dict[str, Callable[[Path], object]] = {
    "in the chat template": templated("{{ messages }}[PAD]"),
    "in the template of the configuration": templated("[PAD]{{ messages }}", "tokenizer_config.json"),
    "in one of several templates": templated("[PAD]{{ messages }}", "several"),
    "by its role in the template": templated("{{ messages }}{{ pad_token }}"),
    "as the end as well": role("eos_token"),
    "as the begin as well": role("bos_token"),
    "by the tokenizer itself": processed,
}


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
def test_a_new_token_that_is_written_into_prompts_is_refused(
    write: Callable[[Path], object], adapter: Path, registry: Registry
) -> None:
    write(adapter)
    problem = refusal(registry, adapter)
    assert "'[PAD]' is new and put into prompts by its chat template or tokenizer" in problem
    assert "merge the adapter into its model and add that with 'lorarack base add'" in problem


OTHERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a new token": (
        lambda folder: write_json(folder / "tokenizer.json", with_tokens(**{"<tool>": VOCABULARY})),
        "'<tool>' is new; where no training row holds it, remove the tokenizer files",
    ),
    "a new token beside padding": (
        lambda folder: [
            padded(folder),
            write_json(folder / "tokenizer.json", with_tokens(**{"[PAD]": VOCABULARY, "<tool>": VOCABULARY + 1})),
        ],
        "'<tool>' is new; where",
    ),
    "a new token in added_tokens.json": (
        lambda folder: write_json(folder / "added_tokens.json", {**OWN, "<tool>": VOCABULARY}),
        "'<tool>' is new; where",
    ),
    "a new token listed by id": (
        lambda folder: write_json(
            folder / "tokenizer_config.json", {"added_tokens_decoder": {str(VOCABULARY): {"content": "<tool>"}}}
        ),
        "'<tool>' is new; where",
    ),
    "a token under another id": (
        lambda folder: write_json(folder / "added_tokens.json", {"</s>": VOCABULARY}),
        "'</s>' has another id there",
    ),
    "another token's id": (
        lambda folder: write_json(folder / "added_tokens.json", {"<tool>": OWN["</s>"]}),
        "'<tool>' has another id there",
    ),
    "fewer tokens": (
        lambda folder: write_json(folder / "tokenizer.json", {"model": {"vocab": {"<unk>": 0, "<s>": 1, "</s>": 2}}}),
        "it lacks some of the base's",
    ),
    "a pointer": (
        lambda folder: (folder / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\n"),
        "its tokenizer.json is a Git LFS pointer.*or remove the tokenizer files",
    ),
}


@pytest.mark.parametrize(("write", "said"), OTHERS.values(), ids=OTHERS)
def test_other_tokens_are_refused_by_name_with_the_way_out(
    write: Callable[[Path], object], said: str, adapter: Path, registry: Registry
) -> None:
    write(adapter)
    assert re.search(said, refusal(registry, adapter))


def test_where_the_bases_files_are_gone_that_is_said(adapter: Path, registry: Registry, base: Base) -> None:
    write_json(adapter / "added_tokens.json", OWN)
    with pytest.raises(InvalidArtifact, match=r"whether its tokens are those of base 'tiny' cannot be told \("):
        read_artifact(adapter, base)
    (adapter / "added_tokens.json").unlink()
    write_json(adapter / "tokenizer_config.json", {"added_tokens_decoder": {"2": {"content": "</s>"}}})
    assert read_artifact(adapter, base)  # was never looked at alone, and is no reason to refuse


@pytest.mark.parametrize(
    "raw", [b"[]", b"{", b'{"chat_template": [3, {"template": 5}], "added_tokens_decoder": {"x": 1}}']
)
def test_odd_small_files_do_no_harm(raw: bytes, adapter: Path, registry: Registry) -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json", "vocab.json"):
        (adapter / name).write_bytes(raw)
    assert publish(registry, adapter)
