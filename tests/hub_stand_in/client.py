"""The real client's settings, so that it talks to the stand-in and touches nothing of the user's."""

import os
from pathlib import Path

import pytest
from tests.hub_stand_in.hub import Hub

_OTHER_WISHES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE")


def use_in_this_process(hub: Hub, monkeypatch: pytest.MonkeyPatch, home: Path, token: str | None) -> None:
    """Settings for a client in this process: the environment, and those constants that it reads only when imported."""
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import progress_bar_states

    for name in _OTHER_WISHES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    if token is None:
        monkeypatch.delenv("HF_TOKEN", raising=False)
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    settings = {
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
        "AGENT_HARNESSES_PATH": str(home / "agents.json"),
    }
    home.mkdir(parents=True, exist_ok=True)
    (home / "agents.json").write_text("{}")  # or it would ask the public Hub for that list
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setitem(progress_bar_states, "_global", False)


def environment(hub: Hub, home: Path, token: str | None) -> dict[str, str]:
    """The environment for a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in (*_OTHER_WISHES, "HF_TOKEN")}
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    return kept | settings | ({"HF_TOKEN": token} if token else {})
