"""What was pushed is what PEFT loads, from the Hub and from the folder."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.hub_stand_in.client import environment
from tests.hub_stand_in.hub import Hub
from tests.tiny import adapter_tensors

from lorarack.registry import Published, Registry
from lorarack.registry.hub.push import push, write_folder

pytestmark = pytest.mark.torch

LOADER = Path(__file__).with_name("load_with_peft.py")


def test_peft_loads_what_was_pushed(
    hub: Hub, registry: Registry, orders: Published, base_folder: Path, tmp_path: Path
) -> None:
    """Base and adapter by their ids on the Hub, in a process of its own; every tensor equal, and it changes the answer."""
    from safetensors.numpy import load_file

    push(registry, "orders", "acme/orders")
    folder = write_folder(registry, "orders", tmp_path / "folder", repo_id="acme/orders")
    outputs = {"hub": ("acme/tiny-base", "acme/orders"), "folder": (str(base_folder), str(folder))}
    asked = [word for name, source in outputs.items() for word in (*source, str(tmp_path / f"{name}.safetensors"))]
    subprocess.run(
        [sys.executable, str(LOADER), *asked], env=environment(hub, tmp_path / "hf-home", None), check=True, timeout=300
    )
    assert any(e.path.startswith("/acme/orders/resolve/") for e in hub.log)
    found = {name: load_file(tmp_path / f"{name}.safetensors") for name in outputs}
    expected = adapter_tensors()
    for tensors in found.values():
        assert set(tensors) == {*expected, "logits", "plain"}
        for name, array in expected.items():
            np.testing.assert_array_equal(tensors[name], array)
        assert np.abs(tensors["logits"] - tensors["plain"]).max() > 1e-3
    np.testing.assert_array_equal(found["hub"]["logits"], found["folder"]["logits"])
