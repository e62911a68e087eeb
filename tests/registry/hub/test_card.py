"""What a model card says, and what it must not say."""

from pathlib import Path

import pytest
import yaml
from tests.registry.hub.conftest import METRICS

from lorarack.registry import Base, Dataset, Provenance, Published, Registry
from lorarack.registry.hub.card import CardOptions, model_card
from lorarack.registry.hub.push import write_folder


def front_matter(card: str) -> dict[str, object]:
    """What the Hub's machines read."""
    data = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(data, dict)
    return data


@pytest.fixture
def card(orders: Published, hub_base: Base) -> str:
    return model_card(orders.version, hub_base, CardOptions("acme/orders", "apache-2.0", "two teas"))


def test_the_front_matter_is_what_the_hub_sorts_by(card: str) -> None:
    data = front_matter(card)
    assert data["base_model"] == "acme/tiny-base"
    assert data["base_model_relation"] == "adapter"
    assert data["library_name"] == "peft"
    assert data["pipeline_tag"] == "text-generation"
    assert data["license"] == "apache-2.0"
    assert "lora" in str(data["tags"])


def test_the_page_says_everything_that_the_registry_knows(card: str, orders: Published, hub_base: Base) -> None:
    version = orders.version
    revision = hub_base.hub_id.revision if hub_base.hub_id else ""
    expected = [
        "Spoken orders to JSON", "orders@1", version.digest, hub_base.fingerprint, f"{revision}", "rank | 4", "alpha | 8",
        "`q_proj`, `v_proj`", f"{version.parameters:,} parameters, f32, {version.bytes:,} bytes",
        "loss | train | 0.125", "loss | validation | 0.123457 | lower", "exact | test | 1e-05 | higher",
        "train | train.jsonl | 240 | `sha256:aaaa", "validation | validation.jsonl | 40", "seed | 7", "peft 0.21.2, torch 2.13.0",
        "2 CPU cores", "45 s", "recipe: learning_rate | 0.002", "tag team | kitchen", "from_pretrained(base, 'acme/orders')",
        "--max-lora-rank 8 --lora-modules orders=acme/orders", "lorarack pull acme/orders orders", '"two teas"', "chat_template",
    ]  # fmt: skip
    assert [text for text in expected if text not in card] == []
    assert "0.25" not in card, "a point of a curve is no result of the finished version"


def test_no_folder_user_or_host_of_this_machine_is_on_it(registry: Registry, orders: Published, hub_base: Base) -> None:
    """Wherever a path may stand: recipe, data set, tag, description, hardware."""
    leaky = Provenance(
        recipe={
            "base": "/srv/models/b",
            "out": "/srv/out dir/run",
            "deep": {"list": ["~/x/run2", "note at /srv/x/run3"]},
        },
        datasets=(Dataset(split="train", name="/srv/my rows/rows.jsonl", rows=1, digest="sha256:" + "a" * 64),),
        hardware="node at /srv/x/run4",
        versions={"torch": "/srv/x/run5"},
        source="/srv/x/run6",
    )
    changes = {"provenance": leaky, "tags": {"from": "/srv/my rows/run7"}, "description": "Made from /srv/x/run8."}
    card = model_card(
        orders.version.model_copy(update=changes), hub_base, CardOptions(example_prompt="cat /srv/x/run9")
    )
    assert "run9" in card
    secrets = [
        "/srv",
        "~/",
        "my rows",
        "out dir",
        str(Path(registry.location)),
        str(hub_base.path),
        orders.version.created_by,
    ]
    assert [text for text in secrets if text in card] == []


def test_a_base_without_an_id_on_the_hub_is_not_linked(registry: Registry, adapter: Path, base: Base) -> None:
    """The Hub would take a plain name for another model; the page says how things stand instead."""
    version = registry.publish(adapter, "orders", base="tiny").version
    card = model_card(version, base, CardOptions())
    assert "base_model" not in front_matter(card)
    assert "plain name only" in card
    assert "path/to/tiny" in card
    assert str(base.path) not in card
    assert "YOUR-NAME/orders" in card


def test_what_is_not_known_is_left_out_and_said(registry: Registry, adapter: Path, base: Base) -> None:
    card = model_card(registry.publish(adapter, "orders", base="tiny").version, base, CardOptions())
    data = front_matter(card)
    assert "model-index" not in data
    assert "license" not in data
    for heading in ("## Results", "## Data", "## Training"):
        assert heading not in card
    for sentence in (
        "No results are recorded",
        "What data it was trained on is not recorded",
        "recipe of its training is not",
    ):
        assert sentence in card


def test_validation_alone_is_said_to_be_no_test(registry: Registry, adapter: Path, base: Base) -> None:
    version = registry.publish(adapter, "orders", base="tiny", metrics=METRICS[:3]).version
    assert "No result on held-out data" in model_card(version, base, CardOptions())
    version = registry.add_metrics("orders", METRICS[3:])
    assert "No result on held-out data" not in model_card(version, base, CardOptions())


def test_text_of_users_breaks_neither_table_nor_page(registry: Registry, adapter: Path, base: Base) -> None:
    tags = {"a|b": "c\nd | <script>`"}
    version = registry.publish(adapter, "orders", base="tiny", tags=tags, description="--- \n---\n# <b>").version
    card = model_card(version, base, CardOptions())
    assert "tag a\\|b | c d \\| &lt;script>'" in card
    assert "<b>" not in card.split("\n---\n", 1)[1]
    assert front_matter(card)["library_name"] == "peft"


def test_the_same_version_gives_the_same_card(orders: Published, hub_base: Base, card: str) -> None:
    """Else every push would make a commit."""
    assert model_card(orders.version, hub_base, CardOptions("acme/orders", "apache-2.0", "two teas")) == card


def test_the_folder_is_what_would_go_to_the_hub(registry: Registry, orders: Published, tmp_path: Path) -> None:
    folder = write_folder(registry, "orders", tmp_path / "out", repo_id="acme/orders")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja"]
    assert '"base_model_name_or_path": "acme/tiny-base"' in (folder / "adapter_config.json").read_text()
    assert registry.publish(folder, "orders", base="tiny").version == orders.version
