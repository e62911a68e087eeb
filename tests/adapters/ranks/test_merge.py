"""Merged versions, held against PEFT's own merge on the whole base."""

from pathlib import Path
from typing import Any

import pytest
from tests.adapters.ranks.conftest import deltas
from tests.adapters.ranks.test_resize import TARGETS, same
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry
from lorarack.registry.errors import Conflict, LorarackError, UsageError

pytestmark = pytest.mark.torch

METHODS = [
    ("linear", {}), ("cat", {}), ("ties", {"density": 0.6}), ("dare_linear", {"density": 0.6}),
    ("dare_ties_svd", {"density": 0.6}), ("magnitude_prune_svd", {"density": 0.6}), ("svd", {}),
]  # fmt: skip


def by_peft(
    registry: Registry, tmp_path: Path, references: list[str], method: str, weights: list[float], **settings: Any
) -> Any:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folders = [registry.fetch(reference, tmp_path / f"peft{place}") for place, reference in enumerate(references)]
    model: Any = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(registry.base("tiny").source), folders[0], adapter_name="0"
    )
    for place, folder in enumerate(folders[1:], start=1):
        model.load_adapter(folder, str(place))
    torch.manual_seed(0)
    names = [str(place) for place in range(len(folders))]
    model.add_weighted_adapter(names, weights, "merged", combination_type=method, **settings)
    return {
        name: module.get_delta_weight("merged").detach().double()
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
    }


@pytest.mark.parametrize(("method", "settings"), METHODS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_is_pefts_merge(registry: Registry, tmp_path: Path, method: str, settings: dict[str, Any]) -> None:
    """Every kind of method, without loading the base."""
    from lorarack.adapters.ranks.merge import merge

    references = ["support@1", "other@1"]
    made = merge(registry, references, method=method, weights=[0.7, 0.4], **settings).version
    assert [(parent.version, parent.relation) for parent in made.parents] == [(name, "merged") for name in references]
    assert made.rank == (16 if method == "cat" else 8)
    wanted = by_peft(registry, tmp_path, references, method, [0.7, 0.4], **settings)
    assert same(deltas(registry, made.reference, tmp_path / "new"), wanted)


def test_rslora_and_other_ranks_and_modules(registry: Registry, tmp_path: Path) -> None:
    """``cat`` is exact: the weighted sum of what each adds, where each has something."""
    from lorarack.adapters.ranks.merge import merge

    folder = tiny_adapter(tmp_path / "in", 2, seed=9, targets=["v_proj", "up_proj"], use_rslora=True)
    registry.publish(folder, "stable", base="tiny")
    made = merge(registry, ["stable", "small"], method="cat", weights=[2.0, -1.0], name="both").version
    assert (made.adapter, made.rank, made.rslora) == ("both", 6, False)
    first = deltas(registry, "stable", tmp_path / "a")
    second = deltas(registry, "small", tmp_path / "b")
    wanted = {name: 2 * first.get(name, 0) - second.get(name, 0) for name in first.keys() | second.keys()}
    assert same(deltas(registry, made.reference, tmp_path / "new"), wanted)


def test_the_same_merge_is_the_same_version(registry: Registry) -> None:
    """What DARE drops is decided by the seed."""
    from lorarack.adapters.ranks.merge import merge

    both = ["support@1", "support@2"]
    first = merge(registry, both, method="dare_linear", name="merged")
    assert merge(registry, both, method="dare_linear", name="merged").version.number == first.version.number
    assert merge(registry, both, method="dare_linear", name="merged", seed=1).created


def test_adapters_of_different_bases_are_refused(registry: Registry, tmp_path: Path) -> None:
    from lorarack.adapters.ranks.merge import merge

    registry.add_base(str(tiny_base(tmp_path / "second", seed=5)), "second")
    registry.publish(tiny_adapter(tmp_path / "in", 8, seed=1, targets=TARGETS), "far", base="second")
    with pytest.raises(Conflict, match="only adapters of one base can be merged"):
        merge(registry, ["support@1", "far"])


@pytest.mark.parametrize(
    ("references", "settings", "said"),
    [
        (["support@1"], {}, "two versions or more"),
        (["support@1", "support@1"], {}, "named twice"),
        (["support@1", "support@2"], {"method": "mean"}, "'mean' is no way to merge; the methods are cat, svd, linear"),
        (["support@1", "small"], {"method": "ties"}, "needs one rank"),
        (["support@1", "support@2"], {"weights": [1.0]}, "2 versions need 2 weights"),
        (["support@1", "support@2"], {"weights": [0.0, 0.0]}, "not all 0"),
        (["support@1", "support@2"], {"rank": 4}, "decides the rank itself"),
        (["support@1", "support@2"], {"method": "svd", "rank": 999}, "would have rank 999"),
        (["support@1", "support@2"], {"method": "ties", "density": 0.0}, "is no share"),
        (["support@1", "nobody"], {}, "nobody"),
    ],
)  # fmt: skip
def test_mistakes_of_merging(registry: Registry, references: list[str], settings: dict[str, Any], said: str) -> None:
    from lorarack.adapters.ranks.merge import merge

    with pytest.raises(LorarackError, match=said) as caught:
        merge(registry, references, **settings)
    assert isinstance(caught.value, UsageError) or "nobody" in references
