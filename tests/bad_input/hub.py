"""Bad input to push and pull, and what a Hub can say to it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bad_input.world import Case, World, command
from tests.hub_stand_in.client import use_in_this_process
from tests.hub_stand_in.hub import Hub
from tests.tiny import change_config, tiny_adapter, write_json

TOKEN = "hf_a_token_that_may_write_for_acme"


def set_up(hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub where the user is ``acme``, with repositories of a ``stranger``: good, gated and spoilt ones."""
    hub.reset()
    hub.accounts = {TOKEN: "acme"}
    use_in_this_process(hub, monkeypatch, root / "hf", TOKEN)
    good = tiny_adapter(root / "good", seed=7)
    hub.seed("stranger/good", good)
    hub.seed("stranger/gated", good, gated=True)
    hub.seed("acme/public", good)
    for name in ("pickle", "large", "no-config", "dora"):
        folder = tiny_adapter(root / name, seed=7)
        match name:
            case "pickle":
                (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
            case "large":
                (folder / "chat_template.jinja").write_bytes(b" " * (2**20 + 1))
            case "no-config":
                (folder / "adapter_config.json").unlink()
            case "dora":
                change_config(folder, use_dora=True)
        hub.seed(f"stranger/{name}", folder)
    write_json(root / "good" / "adapter_config.json", {"base_model_name_or_path": "acme/base", "peft_type": "LORA"})
    hub.seed("stranger/other-base", root / "good")


def pull(name: str) -> Callable[[World], list[object]]:
    """Pull a stranger's repository, with the base that it would fit."""
    return command("pull", f"stranger/{name}", "--base", "tiny")


CASES = [
    Case("push to no repository", command("push", "support", "support"), "write ORG/REPO or ORG/REPO@REVISION", 2),
    Case("push to a revision", command("push", "support", "acme/support@v1"), "pushed to the main branch", 2),
    Case("push of no version", command("push", "support@9", "acme/support"), "nothing at '@9'"),
    Case("push to a stranger's", command("push", "support", "stranger/good"), "set HF_TOKEN to a token that may write there"),
    Case("push under a stranger's name", command("push", "support", "stranger/new"), "or name a repository of your own"),
    Case("private push to a public one", command("push", "support", "acme/public", "--private"), "is public already"),
    Case("push to a full folder", lambda w: ["push", "support", "acme/x", "--folder", w.adapter], "not an empty folder"),
    Case("pull of no repository", command("pull", "support"), "write ORG/REPO or ORG/REPO@REVISION", 2),
    Case("pull of a missing one", command("pull", "acme/nothing"), "There is no repository 'acme/nothing'"),
    Case("pull of a missing revision", command("pull", "stranger/good@nowhere"), "has no such revision"),
    Case("pull of a gated one", pull("gated"), "is gated: accept its conditions"),
    Case("pull of a pickle", pull("pickle"), "a pickle (adapter_model.bin), which can run code when opened"),
    Case("pull of a huge file", pull("large"), "has 1048577 bytes; lorarack reads at most 1048576"),
    Case("pull of no adapter", pull("no-config"), "has no adapter_config.json"),
    Case("pull of DoRA", pull("dora"), "DoRA is not served by vLLM"),
    Case("pull with a bad name", command("pull", "stranger/good", "No Name"), "cannot be a name", 2),
    Case("pull on an unknown base", command("pull", "stranger/other-base"), "add it with 'lorarack base add acme/base'"),
    Case("base that is not on the Hub", command("base", "add", "acme/nothing"), "There is no repository 'acme/nothing'"),
]  # fmt: skip
