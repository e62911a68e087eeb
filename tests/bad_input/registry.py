"""Bad input to the registry's own commands."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.bad_input.world import Case, World, command
from tests.command_line import lorarack
from tests.tiny import adapter_tensors, change_config, change_tensors, tiny_adapter, tiny_base, write_json


def publishing(spoil: Callable[[Path], object], said: str, id: str) -> Case:  # noqa: A002  (as pytest calls it)
    """Publish the adapter after ``spoil`` has been at its folder."""
    return Case(id, World.publish, said, prepare=lambda world: spoil(world.adapter))


def pickled(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def diverged(folder: Path) -> None:
    change_tensors(folder, {name: array * np.nan for name, array in adapter_tensors().items()})


def untrained(folder: Path) -> None:
    change_tensors(folder, {name: array * 0 for name, array in adapter_tensors().items() if "lora_B" in name})


def cut_short(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    os.truncate(path, path.stat().st_size - 1)


def linked(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    shutil.copy(path, folder.parent / "elsewhere")
    path.unlink()
    path.symlink_to(folder.parent / "elsewhere")


def newer_schema(world: World) -> None:
    database = sqlite3.connect(world.home / "catalog.sqlite")
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()


def damage_a_stored_file(world: World) -> None:
    for path in (world.home / "blobs").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"not what was stored")


def damage_and_verify(world: World) -> None:
    damage_a_stored_file(world)
    lorarack("verify", "support")


PUBLISH = [
    Case("no such folder", command("publish", "nowhere", "x", "--base", "tiny"), "There is no folder 'nowhere'"),
    Case("a file, not a folder", lambda w: ["publish", w.adapter / "README.md", "x", "--base", "tiny"], "There is no folder"),
    publishing(lambda f: (f / "adapter_config.json").unlink(), "has no adapter_config.json", "no configuration"),
    publishing(lambda f: (f / "adapter_config.json").write_text("{"), "is not JSON", "configuration cut short"),
    publishing(lambda f: (f / "adapter_model.safetensors").unlink(), "no adapter_model.safetensors", "no weights"),
    publishing(pickled, "a pickle (adapter_model.bin), which can run code when opened", "pickle"),
    publishing(cut_short, "the file is cut short; save or copy it again", "weights cut short"),
    publishing(lambda f: (f / "adapter_model.safetensors").write_bytes(b""), "too short to be", "empty weights"),
    publishing(linked, "is a link; copy the file it points to", "link"),
    publishing(diverged, "holds NaN or infinity; the training diverged", "NaN"),
    publishing(untrained, "every lora_B is zero", "untrained"),
    publishing(lambda f: change_config(f, use_dora=True), "DoRA is not served by vLLM; train with use_dora=False", "DoRA"),
    publishing(lambda f: change_config(f, modules_to_save=["lm_head"]), "modules_to_save keeps whole", "whole modules"),
    publishing(lambda f: change_config(f, peft_type="IA3"), "only LORA adapters are served", "not LoRA"),
    publishing(lambda f: change_config(f, brand_new=1), "which lorarack does not know", "unknown feature"),
    publishing(lambda f: change_config(f, r=8), "the configuration says 8", "wrong rank"),
    publishing(lambda f: write_json(f / "added_tokens.json", {"<x>": 64}), "adapters that add tokens", "new tokens"),
    Case("unknown base", lambda w: ["publish", w.adapter, "x", "--base", "other"], "no base model 'other' (known: 'tiny')"),
    Case(
        "wrong base",
        lambda w: ["publish", w.adapter, "x", "--base", "wide"],
        "it was trained on another base",
        prepare=lambda w: lorarack("base", "add", w.other_base, "--name", "wide"),
    ),
    Case(
        "another base than the adapter's",
        lambda w: ["publish", w.root / "fits-both", "support", "--base", "tuned"],
        "is for base 'tiny', not for 'tuned'",
        prepare=lambda w: (
            lorarack("base", "add", tiny_base(w.root / "tuned", seed=5)),
            tiny_adapter(w.root / "fits-both", seed=6),
        ),
    ),
    Case("bad name", lambda w: ["publish", w.adapter, "My Adapter", "--base", "tiny"], "cannot be a name: a name is", 2),
    Case("name that leads out", lambda w: ["publish", w.adapter, "../up", "--base", "tiny"], "cannot be a name", 2),
    Case("name of a base", lambda w: ["publish", w.adapter, "tiny", "--base", "tiny"], "already belongs to a base model"),
    Case("bad metric", lambda w: w.publish("--metric", "loss"), "'loss' is not a metric; write NAME=NUMBER", 2),
    Case("metric that is no number", lambda w: w.publish("--metric", "loss=nan"), "is not a metric", 2),
    Case("bad tag", lambda w: w.publish("--tag", "x"), "'x' is not a tag; write KEY=VALUE", 2),
    Case("text in another encoding", lambda w: w.publish("--description", "\udcff"), "is not valid UTF-8", 2),
]  # fmt: skip

LOOK = [
    Case("unknown adapter", command("show", "suport"), "There is no adapter 'suport'. Did you mean 'support'?"),
    Case("unknown adapter to list", command("list", "suport"), "Did you mean 'support'?"),
    Case("unknown version", command("show", "support@9"), "nothing at '@9'"),
    Case("unknown alias", command("show", "support@prod"), "nothing at '@prod'"),
    Case("unknown rank", command("show", "support@r64"), "nothing at '@r64' (ready versions of rank 4)"),
    Case("unknown digest", command("show", "support@sha256:00000000"), "nothing at '@sha256:00000000'"),
    Case("no reference", command("show", "Support!"), "'Support!' is not a reference", 2),
    Case("two versions in one reference", command("show", "a@1@2"), "after '@' comes a version number", 2),
    Case("path as a reference", command("show", "../../etc/passwd"), "is not a reference", 2),
]

KEEP = [
    Case("alias that is a number", command("alias", "set", "support@3", 1), "'3' cannot be an alias", 2),
    Case("alias that is a rank", command("alias", "set", "support@r3", 1), "not 'rN'", 2),
    Case("no alias named", command("alias", "set", "support", 1), "write NAME@ALIAS, for example support@prod", 2),
    Case("alias to no version", command("alias", "set", "support@prod", 9), "There is no version support@9"),
    Case("alias to a huge number", command("alias", "set", "support@prod", 10**30), "There is no version"),
    Case("stale expectation", command("alias", "set", "support@default", 1, "--expect", 2), "names version 1, not version 2"),
    Case("history of no alias", command("alias", "history", "support@prod"), "has never had an alias 'prod'"),
    Case("fetch into a full folder", lambda w: ["fetch", "support", w.adapter], "is not an empty folder"),
    Case("fetch to below a file", lambda w: ["fetch", "support", w.adapter / "README.md" / "x"], "The disk failed"),
    Case("fetch of what is not there", lambda w: ["fetch", "support@9", w.root / "new"], "nothing at '@9'"),
    Case(
        "fetch of damaged files",  # the first to meet them is told so, and the version quarantined; this is the second
        lambda w: ["fetch", "support", w.root / "new"],
        "has other bytes than were stored; publish the version again",
        prepare=damage_and_verify,
    ),
    Case("delete under an alias", command("delete", "support@1"), "is named by alias default; move it first with"),
    Case("delete by a name that moves", command("delete", "support"), "name the version itself: support@1", 2),
]  # fmt: skip

BASE = [
    Case("no such base", command("base", "add", "nowhere"), "neither a folder here nor a Hub id"),
    Case("folder that is no base", lambda w: ["base", "add", w.adapter], "has no config.json"),
    Case("base with a bad name", lambda w: ["base", "add", w.other_base, "--name", "A b"], "cannot be a name", 2),
    Case("base with a taken name", lambda w: ["base", "add", w.other_base, "--name", "tiny"], "already belongs to a base model"),
    Case("base with an adapter's name", lambda w: ["base", "add", w.other_base, "--name", "support"], "belongs to an adapter"),
    Case(
        "damaged base",
        lambda w: ["base", "add", w.other_base],
        "the file is cut short; download or convert it again",
        prepare=lambda w: os.truncate(w.other_base / "model.safetensors", 3000),
    ),
]  # fmt: skip

REGISTRY = [
    Case("registry at a URL", command("list", "--registry", "http://127.0.0.1:1/"), "opens folders only", 2),
    Case("registry below a file", lambda w: ["list", "--registry", w.adapter / "README.md"], "The disk failed"),
    Case("registry of a newer lorarack", command("list"), "has schema 9999, newer than", prepare=newer_schema),
    Case(
        "registry that is no database",
        command("list"),
        "is damaged; restore it from a copy",
        prepare=lambda w: (w.home / "catalog.sqlite").write_bytes(b"no database" * 1000),
    ),
]

CASES = [*PUBLISH, *LOOK, *KEEP, *BASE, *REGISTRY]
