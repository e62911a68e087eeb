"""A version brings its chat template and its defaults along: wherever it goes, as part of what it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.command_line import lorarack
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Provenance, Registry, ServingDefaults, Version, open_registry
from lorarack.registry.artifact.prompt_settings import canonical_defaults, parse_defaults
from lorarack.registry.errors import InvalidArtifact, UsageError
from lorarack.registry.hub.push import write_folder

DEFAULTS = {
    "system": "You take café orders.", "temperature": 0.2, "top_p": 0.9, "max_tokens": 64, "stop": ["\n\n"],
    "chat_template_kwargs": {"enable_thinking": False},
}  # fmt: skip
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
TERSE = ServingDefaults(temperature=0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An adapter with a template and defaults of its own."""
    folder = tiny_adapter(tmp_path / "own", seed=7)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "serving_defaults.json").write_text(json.dumps(DEFAULTS, indent=2))
    return folder


def said(registry: Registry, version: Version) -> tuple[str | None, dict[str, Any]]:
    return registry.chat_template(version), registry.serving_defaults(version).given


def test_both_are_kept_and_said(registry: Registry, folder: Path) -> None:
    published = registry.publish(folder, "support", base="tiny")
    assert said(registry, published.version) == (TEMPLATE, DEFAULTS)
    assert any("Servers fill in" in note and "temperature=0.2" in note for note in published.notes)
    assert not any("serving_defaults.json" in note for note in published.notes), "it is not ignored"
    bare = registry.publish(tiny_adapter(folder.parent / "bare", seed=8), "bare", base="tiny").version
    assert said(registry, bare) == (None, {})


def test_the_digest_tells_one_from_another(registry: Registry, folder: Path) -> None:
    """The same weights asked otherwise are another version, which knows where its weights come from; asked alike, the same."""
    origin = Provenance(seed=3)
    first = registry.publish(folder, "support", base="tiny", provenance=origin).version
    again = registry.publish(folder, "support", base="tiny")
    assert (again.created, again.version.number) == (False, 1)
    other = registry.publish(folder, "support", base="tiny", defaults=TERSE)
    assert (other.created, other.version.number) == (True, 2)
    assert other.version.digest != first.digest
    assert (other.version.provenance, [parent.version for parent in other.version.parents]) == (origin, ["support@1"])
    assert any("weights of support@1" in note for note in other.notes)
    assert {file.digest for file in other.version.files} & {file.digest for file in first.files}, (
        "the weights are shared"
    )
    assert said(registry, other.version) == (TEMPLATE, {"temperature": 0.0})
    nothing = registry.publish(folder, "support", base="tiny", defaults=ServingDefaults()).version
    assert said(registry, nothing) == (TEMPLATE, {})
    (folder / "chat_template.jinja").unlink()
    (folder / "serving_defaults.json").unlink()
    plain = registry.publish(folder, "support", base="tiny").version
    assert len({version.digest for version in (first, other.version, nothing, plain)}) == 4


def test_a_version_without_either_has_the_digest_that_it_always_had(registry: Registry, folder: Path) -> None:
    """Else what is published, exported and written down would get another name."""
    for name in ("chat_template.jinja", "serving_defaults.json"):
        (folder / name).unlink()
    version = registry.publish(folder, "support", base="tiny").version
    from lorarack.registry.artifact.manifest import CONFIG, WEIGHTS, artifact_digest

    config = json.loads((folder / CONFIG).read_text())
    weights = version.file_digest(WEIGHTS)
    assert version.digest == artifact_digest(config, weights or "")


def test_both_go_out_and_come_back(registry: Registry, folder: Path, tmp_path: Path, base_folder: Path) -> None:
    """Fetched, exported and imported, as the Hub would get it: the same version."""
    version = registry.publish(folder, "support", base="tiny").version
    fetched = registry.fetch(version, tmp_path / "fetched")
    assert registry.publish(fetched, "support", base="tiny").version.number == version.number
    pushed = write_folder(registry, "support@1", tmp_path / "pushed")
    card = (pushed / "README.md").read_text()
    assert all(part in card for part in ("How it is meant to be asked", "You take café orders.", "`temperature`"))
    registry.export_to(tmp_path / "export")
    with open_registry(tmp_path / "other") as other:
        other.add_base(str(base_folder), "tiny")
        other.import_from(tmp_path / "export")
        arrived = other.resolve("support@1")
        assert arrived.digest == version.digest
        assert said(other, arrived) == (TEMPLATE, DEFAULTS)
    altered = tmp_path / "export" / "adapters" / "support@1" / "serving_defaults.json"
    altered.write_text('{"system":"Say yes to everything."}')
    with open_registry(tmp_path / "third") as third:
        third.add_base(str(base_folder), "tiny")
        with pytest.raises(InvalidArtifact, match="other files than were exported"):
            third.import_from(tmp_path / "export")


def test_an_export_from_before_the_digest_covered_templates_is_taken(
    registry: Registry, folder: Path, tmp_path: Path, base_folder: Path
) -> None:
    """Its version keeps its digest, and publishing the same folder finds it."""
    from lorarack.registry.artifact.manifest import CONFIG, WEIGHTS, artifact_digest

    (folder / "serving_defaults.json").unlink()
    version = registry.publish(folder, "support", base="tiny").version
    registry.export_to(tmp_path / "export")
    former = artifact_digest(json.loads((folder / CONFIG).read_text()), version.file_digest(WEIGHTS) or "")
    manifest = tmp_path / "export" / "lorarack-export.json"
    manifest.write_text(manifest.read_text().replace(version.digest, former))
    with open_registry(tmp_path / "other") as other:
        other.add_base(str(base_folder), "tiny")
        other.import_from(tmp_path / "export")
        assert other.resolve("support@1").digest == former
        assert not other.publish(folder, "support", base="tiny").created


def test_a_generation_config_gives_what_vllm_reads_of_it(registry: Registry, folder: Path) -> None:
    (folder / "serving_defaults.json").unlink()
    config = {"temperature": 0.6, "max_new_tokens": 99, "top_k": None, "eos_token_id": 2, "transformers_version": "5"}
    (folder / "generation_config.json").write_text(json.dumps(config))
    published = registry.publish(folder, "support", base="tiny")
    assert said(registry, published.version)[1] == {"temperature": 0.6, "max_tokens": 99}
    assert any(
        "Taken from its generation_config.json: temperature=0.6, max_tokens=99." in note for note in published.notes
    )


BAD: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "cannot be used"),
    "no object": ("[]", "it is no JSON object"),
    "an unknown name": ('{"temprature": 1}', "temprature"),
    "out of range": ('{"temperature": -1}', "temperature"),
    "a text for a number": ('{"temperature": "0.2"}', "temperature"),
    "too many stops": ('{"stop": ["a", "b", "c", "d", "e"]}', "stop"),
    "an empty stop": ('{"stop": [""]}', "stop"),
    "a template in the arguments": ('{"chat_template_kwargs": {"chat_template": "x"}}', "'chat_template'"),
    "half of a character": ('{"system": "\\ud800"}', "surrogate"),
    "NUL": ('{"system": "\\u0000"}', "NUL"),
    "too large": (json.dumps({"system": "x" * 600_000}), "reads at most"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_defaults_are_refused_at_publish(what: str, registry: Registry, folder: Path, tmp_path: Path) -> None:
    """In the folder and as an option, in one sentence, and nothing is stored."""
    text, part = BAD[what]
    (folder / "serving_defaults.json").write_text(text)
    with pytest.raises(InvalidArtifact, match=part):
        registry.publish(folder, "support", base="tiny")
    answer = lorarack(
        "publish", folder, "support", "--base", "tiny", "--defaults", folder / "serving_defaults.json",
        "--registry", registry.location,
    )  # fmt: skip
    assert answer.code in (1, 2)
    assert answer.err.count("\n") == 1
    assert not registry.adapters()


@pytest.mark.parametrize(
    ("template", "part"),
    [(b"{% for m in messages %}", "no chat template"), (b"{{ x | nonsense }}", "nonsense"), (b"\xff\xfe", "UTF-8")],
)
def test_a_template_that_nobody_could_render_is_refused(
    template: bytes, part: str, registry: Registry, folder: Path
) -> None:
    (folder / "chat_template.jinja").write_bytes(template)
    with pytest.raises(InvalidArtifact, match=part):
        registry.publish(folder, "support", base="tiny")


def test_the_command_line_shows_them(registry: Registry, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    file.write_text('{"system": "Be brief.", "temperature": 0}')
    where = ("--registry", registry.location)
    made = lorarack("publish", folder, "support", "--base", "tiny", "--defaults", file, "--json", *where)
    assert made.code == 0
    record = lorarack("show", "support", "--json", *where).json()
    assert record["defaults"] == {"system": "Be brief.", "temperature": 0.0}
    assert record["chat_template"].startswith("sha256:")
    shown = lorarack("show", "support", *where).out
    assert "system = Be brief." in shown
    assert "temperature = 0.0" in shown
    lorarack("publish", folder, "support", "--base", "tiny", *where)
    changes = {
        change["what"]: (change["a"], change["b"])
        for change in lorarack("diff", "support@1", "support@2", "--json", *where).json()["configuration"]
    }
    assert changes["defaults.temperature"] == (0.0, 0.2)
    assert changes["defaults.system"] == ("Be brief.", "You take café orders.")


def _values() -> st.SearchStrategy[dict[str, Any]]:
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "system": text,
        "temperature": st.floats(0, 2) | st.integers(0, 2),
        "top_p": st.floats(0.001, 1),
        "top_k": st.integers(-1, 10**6),
        "max_tokens": st.integers(1, 10**6),
        "stop": st.lists(text, max_size=4) | text,
        "presence_penalty": st.floats(-2, 2),
        "chat_template_kwargs": st.dictionaries(
            text.filter(
                lambda name: name.isalpha() and "_" not in name and name not in ("messages", "tools", "documents")
            ),
            st.booleans() | text | st.integers(-(2**53), 2**53) | st.lists(text, max_size=2),
            max_size=3,
        ),
    }
    return st.fixed_dictionaries({}, optional=optional)


@given(_values())
def test_what_is_stored_is_read_again_and_has_one_form(values: dict[str, Any]) -> None:
    """Whatever the order of its keys: the digest is of the stored form."""
    defaults = ServingDefaults(**values)
    stored = canonical_defaults(defaults)
    if stored is None:
        assert not defaults.given
        return
    assert parse_defaults(stored) == defaults
    turned = ServingDefaults(**dict(reversed(values.items())))
    assert canonical_defaults(turned) == stored
    assert canonical_defaults(parse_defaults(stored)) == stored


def test_what_python_says_is_checked_as_well() -> None:
    checks: list[Callable[[], object]] = [
        lambda: ServingDefaults(temperature=3.0),
        lambda: ServingDefaults(chat_template_kwargs={"tools": []}),
        lambda: canonical_defaults(ServingDefaults(chat_template_kwargs={"n": 2**60})),
    ]
    for check in checks:
        with pytest.raises(UsageError) as refused:
            check()
        assert refused.value.code == "bad_defaults"


def test_a_template_that_is_the_bases_is_kept_and_not_mentioned(tmp_path: Path) -> None:
    """The base may get another one later."""
    base = tiny_base(tmp_path / "base")
    (base / "chat_template.jinja").write_text(TEMPLATE)
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(base), "templated")
        folder = tiny_adapter(tmp_path / "own", seed=1)
        (folder / "chat_template.jinja").write_text(TEMPLATE)
        published = registry.publish(folder, "own", base="templated")
        assert not any("template" in note for note in published.notes)
        assert registry.chat_template(published.version) == TEMPLATE
