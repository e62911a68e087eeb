"""How two versions differ."""

from pathlib import Path

import numpy as np
import pytest
from tests.registry.shelf import Shelf
from tests.tiny import adapter_tensors, tiny_adapter, tiny_base, write_safetensors

from lorarack.registry import Change, Dataset, Provenance, Registry
from lorarack.registry.errors import Damaged, NotFound

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


def test_configuration_metrics_tags_and_provenance(registry: Registry, tmp_path: Path) -> None:
    one = Provenance(
        recipe={"learning_rate": 0.001, "optimizer": {"name": "adamw"}},
        datasets=(Dataset(split="train", name="d", rows=3, digest=DIGEST),),
        seed=1,
        versions={"torch": "2.8"},
    )
    other = one.model_copy(
        update={
            "recipe": {"learning_rate": 0.002, "optimizer": {"name": "adamw"}},
            "datasets": (Dataset(split="train", name="d", rows=4, digest=OTHER),),
            "versions": {"torch": "2.9"},
        }
    )
    registry.publish(
        tiny_adapter(tmp_path / "a", lora_dropout=0.1), "support", base="tiny", provenance=one, tags={"x": "1"}
    )
    registry.publish(tiny_adapter(tmp_path / "b", rank=8), "support", base="tiny", provenance=other, tags={"y": "2"})
    found = registry.diff("support@1", "support@2")
    assert (found.a, found.b) == ("support@1", "support@2")
    configuration = {change.what: (change.a, change.b) for change in found.configuration}
    assert configuration.pop("parameters")
    assert configuration.pop("bytes")
    assert configuration == {"rank": (4, 8), "alpha": (8.0, 16.0), "lora_dropout": (0.1, 0.0)}
    assert found.provenance == (
        Change(what="recipe.learning_rate", a=0.001, b=0.002),
        Change(what="data.train.rows", a=3, b=4),
        Change(what="data.train.digest", a=DIGEST, b=OTHER),
        Change(what="versions.torch", a="2.8", b="2.9"),
    )
    assert found.tags == (Change(what="x", a="1"), Change(what="y", b="2"))
    assert found.metrics == ()


def test_metrics_with_their_change_and_whether_they_can_be_compared(shelf: Shelf) -> None:
    shelf.put(loss=0.5, exact=0.8, dataset=DIGEST)
    shelf.put(loss=0.25, dataset=OTHER)
    shelf.put(loss=0.25)
    loss, exact = shelf.registry.diff("support@1", "support@2").metrics
    assert (loss.label, loss.a, loss.b, loss.change, loss.comparable) == ("eval_loss", 0.5, 0.25, None, False)
    assert (exact.label, exact.a, exact.b, exact.change, exact.higher_is_better) == (
        "test/exact",
        0.8,
        None,
        None,
        True,
    )
    assert shelf.registry.diff("support@1", "support@3").metrics[0].comparable


def test_each_module_by_the_norm_of_its_delta_weight(registry: Registry, tmp_path: Path) -> None:
    """The same numbers as from the full matrices; modules that one leaves alone count whole."""
    registry.publish(tiny_adapter(tmp_path / "a", seed=1), "support", base="tiny")
    registry.publish(
        tiny_adapter(tmp_path / "b", seed=2, rank=8, targets=("v_proj", "up_proj")), "support", base="tiny"
    )
    found = registry.diff("support@1", "support@2").modules
    tensors = adapter_tensors(4, 1), adapter_tensors(8, 2, ("v_proj", "up_proj"))

    def dense(side: int, module: str) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None":
        a = tensors[side].get(f"base_model.model.{module}.lora_A.weight")
        b = tensors[side].get(f"base_model.model.{module}.lora_B.weight")
        return None if a is None or b is None else 2 * b.astype(np.float64) @ a

    assert len(found) == 6
    assert [change.difference for change in found] == sorted((change.difference or 0 for change in found), reverse=True)
    for change in found:
        one, other = dense(0, change.module), dense(1, change.module)
        assert change.a == (None if one is None else pytest.approx(np.linalg.norm(one)))
        assert change.b == (None if other is None else pytest.approx(np.linalg.norm(other)))
        apart = np.linalg.norm((0 if one is None else one) - (0 if other is None else other))
        assert change.difference == pytest.approx(apart)


@pytest.mark.parametrize("dtype", [np.float16, np.uint16])
def test_half_precision_is_read_by_hand(dtype: type, registry: Registry, tmp_path: Path) -> None:
    """An adapter saved in fewer bits is nearly the same adapter."""
    registry.publish(tiny_adapter(tmp_path / "a"), "support", base="tiny")
    folder = tiny_adapter(tmp_path / "b")
    half = {
        name: (array.view(np.uint32) >> 16).astype(np.uint16) if dtype is np.uint16 else array.astype(np.float16)
        for name, array in adapter_tensors().items()
    }
    write_safetensors(folder / "adapter_model.safetensors", half)
    registry.publish(folder, "support", base="tiny")
    for module in registry.diff("support@1", "support@2").modules:
        assert module.a is not None
        assert module.difference is not None
        assert 0 < module.difference < 0.02 * module.a


def test_a_version_does_not_differ_from_itself(shelf: Shelf) -> None:
    shelf.put(loss=0.5)
    found = shelf.registry.diff("support", "support@1")
    assert (found.configuration, found.provenance, found.tags) == ((), (), ())
    assert all(module.difference is not None and module.difference < 1e-12 for module in found.modules)


def test_versions_for_bases_of_other_shapes(registry: Registry, tmp_path: Path) -> None:
    """Their norms are told; a difference of two shapes is none."""
    base = tiny_base(tmp_path / "wide", seed=2)
    from tests.tiny import base_tensors

    write_safetensors(base / "model.safetensors", {n: np.repeat(t, 2, axis=-1) for n, t in base_tensors(2).items()})
    registry.add_base(str(base), "wide")
    folder = tiny_adapter(tmp_path / "w")
    tensors = {n: np.repeat(t, 2, axis=-1) if "lora_A" in n else t for n, t in adapter_tensors().items()}
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    registry.publish(folder, "wider", base="wide")
    registry.publish(tiny_adapter(tmp_path / "n"), "support", base="tiny")
    found = registry.diff("support", "wider")
    assert {"adapter", "base", "base_fingerprint"} <= {change.what for change in found.configuration}
    assert all(module.difference is None and module.a and module.b for module in found.modules)


def test_damage_is_found_before_anything_is_compared(shelf: Shelf) -> None:
    version = shelf.put()
    shelf.put()
    (weights,) = (file.digest for file in version.files if file.name.endswith(".safetensors"))
    digits = weights.removeprefix("sha256:")
    path = Path(shelf.registry.location) / "blobs" / "sha256" / digits[:2] / digits
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(Damaged, match="support@1 is damaged and now out of use"):
        shelf.registry.diff("support@2", "support@1")
    with pytest.raises(NotFound):
        shelf.registry.diff("support@2", "support@9")
