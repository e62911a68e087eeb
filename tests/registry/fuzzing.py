"""Spoiled inputs, and what must hold for each: an error of ours or success, in time, and nothing written elsewhere.

Shared by the tests, which try some, and by ``benchmarks.fuzz``, which tries thousands.
"""

import copy
import json
import signal
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import strategies as st
from tests.tiny import adapter_config, tiny_adapter, tiny_base, tokenizer

from lorarack.registry import LorarackError, Parent, open_registry

#: Seconds that one case may take.
LIMIT = 5
WEIGHTS, CONFIG, MANIFEST = "adapter_model.safetensors", "adapter_config.json", "lorarack-export.json"

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["../../up", "/etc/passwd", "a" * 5000, "(a+)+$", "\x00", "lora_A", "sha256:" + "0" * 64, 10**400]
    )
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def spoiled(draw: st.DrawFn, document: Any) -> Any:
    """``document`` with one to three values in it replaced, removed or added."""
    data = [copy.deepcopy(document)]
    for _ in range(draw(st.integers(1, 3))):
        holder, key = data, 0
        while isinstance(holder[key], dict | list) and holder[key] and draw(st.integers(0, 5)):
            holder = holder[key]
            key = (
                draw(st.sampled_from(sorted(holder, key=repr)))
                if isinstance(holder, dict)
                else draw(st.integers(0, len(holder) - 1))
            )
        what = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if what == "remove" and holder is not data:
            del holder[key]
        elif what == "add" and isinstance(holder[key], dict):
            holder[key][draw(st.text(max_size=8))] = draw(json_values)
        else:
            holder[key] = draw(json_values)
    return data[0]


@st.composite
def spoiled_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` cut short, grown, or with some of its bytes replaced."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(["replace", "cut", "insert"])):
            case "replace":
                piece = draw(st.binary(min_size=1, max_size=8))
                data[at : at + len(piece)] = piece
            case "cut":
                del data[at : at + draw(st.sampled_from([1, 8, 10**9]))]
            case _:
                data[at:at] = draw(st.binary(min_size=1, max_size=16))
    return bytes(data)


def as_json(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """The bytes of JSON texts, some of which only Python takes for JSON (NaN, halves of surrogate pairs)."""
    return values.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))


class Sandbox:
    """A registry with one version, an export of it, and folders to spoil; counts what becomes of the cases."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.folder = tiny_adapter(root / "in" / "adapter", seed=1)
        self.weights = (self.folder / WEIGHTS).read_bytes()
        self.outcomes: Counter[str] = Counter()
        self._make_export()
        self.manifest = json.loads((self.export / MANIFEST).read_text())
        self._elsewhere = self._look()

    def _make_export(self) -> None:
        base = tiny_base(self.root / "in" / "base")
        with open_registry(self.root / "source") as source:
            source.add_base(str(base), "tiny")
            source.publish(self.folder, "support", base="tiny", tags={"a": "b"})
            child = tiny_adapter(self.root / "in" / "child", seed=2)
            source.publish(child, "child", base="tiny", parents=[Parent(version="support@1", relation="resized")])
            source.export_to(self.root / "export")
        self.export = self.root / "export"
        with open_registry(self.home) as registry:
            registry.add_base(str(base), "tiny")

    def inputs(self) -> dict[str, st.SearchStrategy[tuple[str, bytes]]]:
        """Of each kind of input: the file and its spoiled bytes."""
        (length,) = struct.unpack("<Q", self.weights[:8])
        header, data = json.loads(self.weights[8 : 8 + length]), self.weights[8 + length :]

        def with_header(raw: bytes) -> bytes:
            return struct.pack("<Q", len(raw)) + raw + data

        headers = as_json(spoiled(header)).map(with_header) | spoiled_bytes(self.weights[: 8 + length]).map(
            lambda raw: raw + data
        )
        config = json.dumps(adapter_config()).encode()
        words = json.dumps(tokenizer()).encode()
        manifest = json.dumps(self.manifest).encode()
        files = {
            "header": (WEIGHTS, headers),
            "configuration": (CONFIG, as_json(spoiled(adapter_config())) | spoiled_bytes(config)),
            "tokenizer": ("tokenizer.json", as_json(spoiled(tokenizer())) | spoiled_bytes(words)),
            "manifest": (MANIFEST, as_json(spoiled(self.manifest)) | spoiled_bytes(manifest)),
        }
        return {kind: st.tuples(st.just(name), raw) for kind, (name, raw) in files.items()}

    def check(self, name: str, raw: bytes) -> None:
        """Try one case; ``AssertionError`` or whatever was raised when something does not hold."""
        target = (self.export if name == MANIFEST else self.folder) / name
        before = target.read_bytes() if target.exists() else None
        target.write_bytes(raw)
        refusal: LorarackError | None = None
        try:
            with in_time():
                self._try(name)
        except LorarackError as error:
            refusal = error
        finally:
            if before is None:
                target.unlink()
            else:
                target.write_bytes(before)
        assert self._look() == self._elsewhere
        assert refusal is None or 0 < len(str(refusal)) < 20_000
        self.outcomes[refusal.code if refusal else "accepted"] += 1

    def _try(self, name: str) -> None:
        with open_registry(self.home) as registry:
            if name == MANIFEST:
                registry.import_from(self.export)
            else:
                registry.publish(self.folder, "fuzzed", base="tiny")

    def _look(self) -> dict[str, int]:
        """Everything but the registry's own files, by name and size; of the registry, that nothing strange is in it."""
        assert {path.name.partition("-")[0] for path in self.home.iterdir()} <= {
            "catalog.lock",
            "catalog.sqlite",
            "blobs",
            "lock",
            "locks",
            "waiting",
        }, list(self.home.iterdir())
        return {
            str(path.relative_to(self.root)): path.lstat().st_size
            for path in self.root.rglob("*")
            if not path.is_relative_to(self.home)
        }


@contextmanager
def in_time(seconds: int = LIMIT) -> Iterator[None]:
    """Interrupt what takes longer, wherever it hangs in Python."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"a case took more than {seconds} s")

    before: Callable[[int, FrameType | None], Any] | int | None = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
