"""Everything a run needs, read and checked before torch is imported: a mistake is reported at once, not after a minute."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches

from lorarack.adapters.data import Rows, read_rows, split_rows
from lorarack.adapters.data.report import SplitReport, report_split
from lorarack.adapters.data.row_digests import row_digests
from lorarack.adapters.data.source import has_split
from lorarack.adapters.recipe import Recipe
from lorarack.adapters.training.learning_rate import RateProbe
from lorarack.adapters.training.plan import make_plan
from lorarack.adapters.training.served import check_served
from lorarack.adapters.training.split_checks import check_keys, check_splits
from lorarack.registry.errors import UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.values import Base, Dataset

#: The tag under which a version says which rank family it belongs to.
RECIPE_TAG = "recipe"


@dataclass(frozen=True, slots=True)
class Inputs:
    """A recipe with what it names."""

    recipe: Recipe
    base: Base
    train: Rows
    validation: Rows
    test: Rows | None
    family: str
    notes: tuple[str, ...] = ()
    reports: tuple[SplitReport, ...] = ()
    probe: RateProbe | None = None

    def at_rate(self, probe: RateProbe) -> "Inputs":
        """The same with the learning rate that was chosen for ``auto``; the family is that of the recipe as it was written."""
        return replace(self, recipe=self.recipe.model_copy(update={"learning_rate": probe.rate}), probe=probe)

    def datasets(self) -> tuple[Dataset, ...]:
        """The splits as they are kept in a version's provenance."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return tuple(
            Dataset(
                split=split,
                name=rows.name,
                rows=len(rows),
                digest=rows.digest,
                row_digests=None if split == "test" else row_digests(rows),
            )
            for split, rows in splits.items()
            if rows is not None
        )


def read_inputs(recipe: Recipe, registry: Registry) -> Inputs:
    """Find the base, read the rows, and check that they and the recipe fit together.

    Raises:
        NotFound: no such base or file, or the base's files are gone.
        Conflict: the adapter belongs to another base, a base has its name, or the base's files are another model by now.
        UsageError: bad rows, splits that do not go together, modules that the base does not have, more steps than any run takes.
    """
    recipe, said = check_served(recipe)
    base = registry.check_adapter(recipe.name, recipe.base)
    _check_targets(recipe, base)
    check_keys(recipe.data)
    files, train, validation, test = _read_splits(recipe)
    check_splits(train, validation, test)
    make_plan(recipe, len(train))  # which refuses more steps than any run takes
    digests = {"train": train.digest, "validation": validation.digest}
    reported = [
        report_split(split, rows, train if split != "train" else None)
        for split, rows in (("train", train), ("validation", validation), ("test", test))
        if rows is not None
    ]
    notes = [text for rows in files for text in (rows.described, *rows.notes, rows.note) if text]
    notes.extend(text for _, counted in reported for text in counted)
    checked = registry.check_base(base.name, full=True)
    # By the sample: families that 0.1.0 began go on, and an adapter belongs to one base in any case.
    family = recipe.family_digest(checked.base.sampled or checked.base.fingerprint, digests)
    reports = tuple(report for report, _ in reported)
    return Inputs(recipe, checked.base, train, validation, test, family, (*checked.notes, *said, *notes), reports)


def _read_splits(recipe: Recipe) -> tuple[list[Rows], Rows, Rows, Rows | None]:
    """What was read, and the three splits: where none is named, those that a folder or a data set on the Hub has."""
    data = recipe.data
    everything = read_rows(data.train, data.reading("train"))
    named: dict[str, Rows | None] = {"validation": None, "test": None}
    for split, source in (("validation", data.validation), ("test", data.test)):
        reading = data.reading("validation" if split == "validation" else "test")
        if source is not None or has_split(data.train, reading):
            named[split] = read_rows(source or data.train, reading)
    files = [rows for rows in (everything, *named.values()) if rows is not None]
    if validation := named["validation"]:
        return files, everything, validation, named["test"]
    train, aside = split_rows(everything, data.validation_fraction, recipe.seed)
    return files, train, aside, named["test"]


def _check_targets(recipe: Recipe, base: Base) -> None:
    if recipe.target_modules == "all-linear":
        return
    short = {module.rpartition(".")[2] for module in base.modules}
    for target in recipe.target_modules:
        if not any(module == target or module.endswith(f".{target}") for module in base.modules):
            raise UsageError(
                f"The base {base.name!r} has no module {target!r}; {_suggest(target, short)}", code="no_such_module"
            )


def _suggest(target: str, known: Iterable[str]) -> str:
    near = get_close_matches(target, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"its modules are {', '.join(sorted(known))}."
