"""The stand-in for the Hub with one account, and the real client set to it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import command_line
from tests.hub_stand_in.client import use_in_this_process
from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.server import running
from tests.tiny import change_config, tiny_adapter

from lorarack.registry import Base, Dataset, Metric, Provenance, Published, Registry, open_registry

TOKEN, READ_TOKEN = "hf_acmes_token_that_may_write", "hf_acmes_token_that_may_read"

Command = Callable[..., tuple[int, str, str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The client uploads through ``data=``, for which its HTTP library wants another word by now."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"))


@pytest.fixture(scope="session")
def server() -> Iterator[Hub]:
    """One server for all tests; a new one each would cost the client a new pool of connections each."""
    from huggingface_hub import close_session

    close_session()
    with running(Hub()) as hub:
        yield hub
        close_session()


@pytest.fixture
def hub(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The Hub with an account ``acme``, whose token is in the environment, and a stranger's."""
    server.reset()
    server.accounts = {TOKEN: "acme", READ_TOKEN: "acme", "hf_a_stranger": "stranger"}
    server.readers = {READ_TOKEN}
    use_in_this_process(server, monkeypatch, tmp_path / "hf", TOKEN)
    return server


@pytest.fixture(scope="session")
def homes(server: Hub, base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Registries to copy: ``here`` knows the tiny base by its folder, ``elsewhere`` by its id on the Hub."""
    made = tmp_path_factory.mktemp("homes")
    with pytest.MonkeyPatch.context() as patched:
        use_in_this_process(server, patched, made / "hf", None)
        server.seed("acme/tiny-base", base_folder)
        for home, source in (("here", str(base_folder)), ("elsewhere", "acme/tiny-base")):
            with open_registry(made / home) as opened:
                opened.add_base(source, "tiny")
    return made


@pytest.fixture
def home(homes: Path, tmp_path: Path) -> Path:
    return shutil.copytree(homes / "here", tmp_path / "home")


@pytest.fixture
def elsewhere(hub: Hub, homes: Path, base_folder: Path, tmp_path: Path) -> Iterator[Registry]:
    """Another machine's registry, which knows the base by its id on the Hub only."""
    hub.seed("acme/tiny-base", base_folder)
    with open_registry(shutil.copytree(homes / "elsewhere", tmp_path / "elsewhere")) as opened:
        yield opened


@pytest.fixture
def theirs(hub: Hub, tmp_path: Path) -> Path:
    """A repository ``stranger/theirs`` as PEFT alone would push it; tests spoil the folder and seed it again."""
    folder = change_config(tiny_adapter(tmp_path / "theirs", seed=5), base_model_name_or_path="acme/tiny-base")
    hub.seed("stranger/theirs", folder)
    return folder


@pytest.fixture
def hub_base(hub: Hub, registry: Registry, base_folder: Path) -> Base:
    """The tiny base, which the registry knows by its folder, also known by its id on the Hub."""
    hub.seed("acme/tiny-base", base_folder)
    base = registry.add_base("acme/tiny-base")
    hub.log.clear()
    return base


@pytest.fixture
def orders(registry: Registry, hub_base: Base, tmp_path: Path) -> Published:
    """A version about which everything is known."""
    folder = tiny_adapter(tmp_path / "orders")
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    return registry.publish(
        folder,
        "orders",
        base="tiny",
        metrics=METRICS,
        tags={"recipe": "sha256:0123", "team": "kitchen"},
        description="Spoken orders to JSON",
        provenance=PROVENANCE,
    )


@pytest.fixture
def lorarack(monkeypatch: pytest.MonkeyPatch, home: Path) -> Command:
    """Runs the command line on the registry; gives exit code, stdout and stderr."""
    monkeypatch.setenv("LORARACK_REGISTRY", str(home))

    def run(*arguments: str) -> tuple[int, str, str]:
        answer = command_line.lorarack(*arguments)
        return answer.code, answer.out, answer.err

    return run


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` but the database's own, which also change by reading."""
    files = (path for path in folder.rglob("*") if path.is_file() and "catalog.sqlite" not in path.name)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


METRICS = (
    Metric(name="loss", split="train", value=0.25, step=10),
    Metric(name="loss", split="train", value=0.125),
    Metric(name="loss", split="validation", value=0.1234567891234, dataset="sha256:" + "b" * 64),
    Metric(name="exact", split="test", value=1e-05, dataset="sha256:" + "c" * 64, higher_is_better=True),
)
PROVENANCE = Provenance(
    recipe={"base": "/srv/models/tiny", "data": {"train": "/home/jo/my data/train.jsonl"}, "learning_rate": 2e-3},
    datasets=(
        Dataset(split="train", name="/home/jo/my data/train.jsonl", rows=240, digest="sha256:" + "a" * 64),
        Dataset(split="validation", name="validation.jsonl", rows=40, digest="sha256:" + "b" * 64),
    ),
    seed=7,
    versions={"peft": "0.21.2", "torch": "2.13.0"},
    hardware="2 CPU cores",
    wall_seconds=45.2,
)
