"""The model card: front matter for the Hub and a page for readers, both filled from the registry alone.

A section of the page about which nothing is known is left out, and that is said.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, DEFAULTS
from lorarack.registry.hub.privacy import plain, without_paths
from lorarack.registry.hub.results import finished_metrics, to_block, to_results
from lorarack.registry.serving_defaults import ServingDefaults
from lorarack.registry.values import Base, Provenance, Version

_MAX_RECIPE_ROWS = 60
_PROMPT = "Write your prompt here."
#: The slot sizes that vLLM takes for ``--max-lora-rank``.
_SLOTS = (8, 16, 32, 64, 128, 256, 320, 512)


@dataclass(frozen=True, slots=True)
class CardOptions:
    """What the publisher adds to what the registry knows.

    Attributes:
        repo_id: where the card will stand, for the lines that say how to use it; None: a placeholder.
        license_id: an identifier from the Hub's list, for example ``apache-2.0``.
        example_prompt: a prompt for the lines that say how to use it.
    """

    repo_id: str | None = None
    license_id: str | None = None
    example_prompt: str | None = None


def model_card(version: Version, base: Base, options: CardOptions, defaults: ServingDefaults | None = None) -> str:
    """The text of ``README.md``. The same version and options give the same text."""
    from huggingface_hub import ModelCardData

    results = to_results(version)
    data = ModelCardData(
        # Only an id on the Hub will do there: the Hub refuses paths, and a plain name would link to a stranger's model.
        base_model=base.hub_id.value if base.hub_id else None,
        base_model_relation="adapter" if base.hub_id else None,
        library_name="peft",
        pipeline_tag="text-generation",
        license=options.license_id,
        tags=["lora", "lorarack"],
        model_name=version.adapter if results else None,
        eval_results=results or None,
        lorarack=to_block(version),
    )
    repo_id = options.repo_id or f"YOUR-NAME/{version.adapter.rpartition('/')[2]}"
    return f"---\n{data.to_yaml()}\n---\n\n{_page(version, base, repo_id, options.example_prompt, defaults)}"


def _page(
    version: Version, base: Base, repo_id: str, example_prompt: str | None, defaults: ServingDefaults | None
) -> str:
    """The card below its front matter."""
    sections = [
        _title(version, base),
        _what_it_is(version, base),
        _results(version),
        _data(version.provenance),
        _training(version.provenance),
        _use(version, base, repo_id, example_prompt),
        _asked(defaults),
        _limits(version, base),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _title(version: Version, base: Base) -> str:
    about = f"\n\n{_prose(version.description)}" if version.description else ""
    kind = "An rsLoRA adapter" if version.rslora else "A LoRA adapter"
    sentence = f"{kind} of rank {version.rank} for `{base.public_id}`, version {version.number} of `{version.adapter}`."
    return f"# {version.adapter}\n\n{sentence}{about}"


def _what_it_is(version: Version, base: Base) -> str:
    scaling = "alpha / √rank (rsLoRA)" if version.rslora else "alpha / rank"
    rows = [
        ("base model", f"`{base.public_id}`" + (f" at `{base.hub_id.revision}`" if base.hub_id else "")),
        ("base architecture", f"{base.architecture}, {base.parameters:,} parameters"),
        ("base fingerprint", f"`{base.fingerprint}`"),
        ("rank", str(version.rank)),
        ("alpha", f"{version.alpha:g}, applied as {scaling}"),
        ("target modules", ", ".join(f"`{name}`" for name in version.target_modules)),
        ("weights", f"{version.parameters:,} parameters, {version.dtype}, {version.bytes:,} bytes"),
        ("version", f"`{version.reference}`, published {version.created_at:%Y-%m-%d}"),
        ("digest", f"`{version.digest}`"),
        *((f"tag {_cell(key)}", _cell(value)) for key, value in sorted(version.tags.items())),
    ]
    return "## What it is\n\n" + _table(("", ""), rows)


def _results(version: Version) -> str:
    rows = [
        (metric.name, metric.split, f"{metric.value:.6g}", _better(metric.higher_is_better), _code(metric.dataset))
        for metric in finished_metrics(version)
    ]
    if not rows:
        return ""
    return "## Results\n\n" + _table(("metric", "split", "value", "better is", "data set's digest"), rows)


def _data(origin: Provenance | None) -> str:
    if origin is None or not origin.datasets:
        return ""
    rows = [(data.split, _cell(data.name), f"{data.rows:,}", _code(data.digest)) for data in origin.datasets]
    note = "The digest is of the rows as canonical JSON: equal rows have equal digests, however the file is formatted."
    return f"## Data\n\n{_table(('split', 'name', 'rows', 'digest'), rows)}\n\n{note}"


def _training(origin: Provenance | None) -> str:
    if origin is None:
        return ""
    rows: list[tuple[str, str]] = []
    if origin.source:
        rows.append(("taken from", f"`{_cell(origin.source)}`"))
    if origin.seed is not None:
        rows.append(("seed", str(origin.seed)))
    if origin.hardware:
        rows.append(("hardware", _cell(origin.hardware)))
    if origin.wall_seconds is not None:
        rows.append(("wall time", f"{origin.wall_seconds:.0f} s"))
    if origin.versions:
        listed = ", ".join(f"{name} {number}" for name, number in sorted(origin.versions.items()))
        rows.append(("libraries", _cell(listed)))
    rows += [(f"recipe: {_cell(key)}", _cell(value)) for key, value in _flat(origin.recipe)[:_MAX_RECIPE_ROWS]]
    return "## Training\n\n" + _table(("", ""), rows) if rows else ""


def _asked(defaults: ServingDefaults | None) -> str:
    if defaults is None or not defaults.given:
        return ""
    rows = [(f"`{name}`", _cell(value)) for name, value in _flat(defaults.given)]
    note = (
        f"lorarack fills these into requests that are silent about them (`{DEFAULTS}`); other servers have to be told."
    )
    return f"## How it is meant to be asked\n\n{_table(('', ''), rows)}\n\n{note}"


def _limits(version: Version, base: Base) -> str:
    origin, splits = version.provenance, {metric.split for metric in finished_metrics(version)}
    known = [
        f"The adapter works only on top of `{base.public_id}`; the base's licence, biases and limits apply to it too.",
        "The numbers above were measured by the publisher and are not verified; other data may give other numbers.",
    ]
    if not splits:
        known.append("No results are recorded.")
    elif not splits - {"train", "validation"}:
        known.append("No result on held-out data is recorded; the validation split may have steered the training.")
    if origin is None or not origin.datasets:
        known.append("What data it was trained on is not recorded.")
    if origin is None or not origin.recipe:
        known.append("The recipe of its training is not recorded.")
    if base.hub_id is None:
        known.append(
            "Its publisher knows the base by a plain name only; compare the fingerprint before you trust a namesake."
        )
    known.append("Safety, fairness and robustness were not evaluated, as far as is recorded here.")
    return "## Limits of what is known\n\n" + "\n".join(f"- {sentence}" for sentence in known)


def _flat(value: JsonValue, key: str = "") -> list[tuple[str, str]]:
    """A recipe as rows; the base is left out, which the card names already, by its public id."""
    match value:
        case dict():
            rows = [
                _flat(item, f"{key}.{name}" if key else name) for name, item in value.items() if key or name != "base"
            ]
            return [row for part in rows for row in part]
        case list():
            return [(key, ", ".join(str(plain(item)) for item in value))]
        case None:
            return []
        case _:
            return [(key, str(plain(value)))]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def _better(higher: bool) -> str:
    return "higher" if higher else "lower"


def _code(text: str | None) -> str:
    return f"`{_cell(text)}`" if text else "–"


def _cell(value: object) -> str:
    """Text from a user for one cell: no paths of this machine, and nothing that would break the table or be HTML."""
    return _prose(" ".join(str(plain(str(value))).split())).replace("|", "\\|")


def _prose(text: str) -> str:
    return without_paths(text).replace("<", "&lt;").replace("`", "'")


def _use(version: Version, base: Base, repo_id: str, example_prompt: str | None) -> str:
    """How to use the adapter with PEFT, vLLM and lorarack."""
    name = version.adapter.rpartition("/")[2]
    prompt = json.dumps(without_paths(example_prompt or _PROMPT), ensure_ascii=False)
    revision = f", revision={base.hub_id.revision!r}" if base.hub_id and base.hub_id.revision else ""
    slot = next(size for size in _SLOTS if size >= version.rank)
    # A base that has no id on the Hub can only be named as whatever folder the reader has it in.
    where = base.hub_id.value if base.hub_id else f"path/to/{base.name}"
    add = where if base.hub_id else f"{where} --name {base.name}"
    template = any(file.name == CHAT_TEMPLATE for file in version.files)
    return f"""## How to use it

With PEFT:

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({where!r}{revision})
base = AutoModelForCausalLM.from_pretrained({where!r}{revision})
model = PeftModel.from_pretrained(base, {repo_id!r})
inputs = tokenizer({prompt}, return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=128)[0], skip_special_tokens=True))
```

With vLLM:

```sh
vllm serve {where} --enable-lora --max-lora-rank {slot} --lora-modules {name}={repo_id}
```

With lorarack, beside any number of other adapters on the same base:

```sh
lorarack base add {add}
lorarack pull {repo_id} {name}
lorarack serve {base.public_id}
lorarack ask {name} "{_PROMPT}"
```{_about_template() if template else ""}"""


def _about_template() -> str:
    return (
        f"\n\nIt was trained with a chat template of its own, `{CHAT_TEMPLATE}`: "
        "give it to the tokenizer (PEFT) or with `--chat-template` (vLLM) when you send messages; lorarack applies it by itself."
    )
