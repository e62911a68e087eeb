"""Everything a run needs, read and checked before torch is imported: a mistake is told at once, not after a minute."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from lorarack.adapters.data import Rows, check_leaks, load_rows, split_rows
from lorarack.adapters.data.row_digests import row_digests
from lorarack.adapters.recipe import Recipe
from lorarack.registry.errors import UsageError
from lorarack.registry.interface import Registry
from lorarack.registry.values import Base, Dataset


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
        Conflict: the adapter stands on another base, a base has its name, or the base's files are another model by now.
        UsageError: bad rows, leaks between splits, modules that the base does not have.
    """
    base = registry.check_adapter(recipe.name, recipe.base)
    _check_targets(recipe, base)
    everything = load_rows(recipe.data.train)
    if recipe.data.validation is None:
        train, validation = split_rows(everything, recipe.data.validation_fraction, recipe.seed)
    else:
        train, validation = everything, load_rows(recipe.data.validation)
    test = load_rows(recipe.data.test) if recipe.data.test is not None else None
    files = [rows for rows in (everything, validation, test) if rows is not None]
    check_leaks(train, [("validation", validation), *([("test", test)] if test is not None else [])])
    digests = {"train": train.digest, "validation": validation.digest}
    notes = tuple(rows.note for rows in files if rows.note)
    checked = registry.check_base(base.name, full=True)
    # By the sample: families that 0.1.0 began go on, and an adapter stands on one base in any case.
    family = recipe.family_digest(checked.base.sampled or checked.base.fingerprint, digests)
    return Inputs(recipe, checked.base, train, validation, test, family, (*checked.notes, *notes))


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
