"""The page of a model card, section by section. A section about which nothing is known is left out, and that is said."""

from collections.abc import Sequence

from pydantic import JsonValue

from lorarack.registry.hub.card_use import use
from lorarack.registry.hub.privacy import plain, without_paths
from lorarack.registry.hub.results import finished_metrics
from lorarack.registry.values import Base, Provenance, Version

_MAX_RECIPE_ROWS = 60


def page(version: Version, base: Base, repo_id: str, example_prompt: str | None) -> str:
    """The card below its front matter."""
    sections = [
        _title(version, base),
        _what_it_is(version, base),
        _results(version),
        _data(version.provenance),
        _training(version.provenance),
        use(version, base, repo_id, example_prompt),
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


def _limits(version: Version, base: Base) -> str:
    origin, splits = version.provenance, {metric.split for metric in finished_metrics(version)}
    known = [
        f"The adapter works only on top of `{base.public_id}`; the base's licence, biases and limits apply to it too.",
        "Nobody but its publisher vouches for the numbers above, and they say nothing about other data.",
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
