"""A recipe is data: read, checked, saved, compared."""

from pathlib import Path

import pytest

from lorarack.adapters.recipe import Recipe, load_recipe, make_recipe, parse_recipe
from lorarack.registry.errors import LorarackError, NotFound, UsageError

MINIMAL = "name: support\nbase: tiny\ndata: rows.jsonl\n"


def test_three_keys_are_enough() -> None:
    """Name, base and data make a recipe; everything else has a default fit for a small task."""
    recipe = parse_recipe(MINIMAL)
    assert (recipe.name, recipe.base, recipe.data.train) == ("support", "tiny", "rows.jsonl")
    assert recipe.ranks == (16,)
    assert recipe.alpha_of(16) == 32
    assert recipe.target_modules == "all-linear"


def test_yaml_out_and_in_is_the_same_recipe() -> None:
    """What ``to_yaml`` writes parses to an equal recipe, every key spelled out."""
    recipe = parse_recipe(MINIMAL + "ranks: [4, 16]\nalpha: 8\ntarget_modules: [q_proj, v_proj]\npatience: null\n")
    assert parse_recipe(recipe.to_yaml()) == recipe
    assert all(f"{key}:" in recipe.to_yaml() for key in Recipe.model_fields)


def test_relative_paths_start_at_the_recipe(tmp_path: Path) -> None:
    """A recipe file works from whatever folder it is used."""
    (tmp_path / "recipe.yaml").write_text(MINIMAL.replace("rows.jsonl", "{train: a.jsonl, validation: sub/b.jsonl}"))
    data = load_recipe(tmp_path / "recipe.yaml").data
    assert data.train == str(tmp_path / "a.jsonl")
    assert data.validation == str(tmp_path / "sub" / "b.jsonl")
    assert data.test is None


def test_a_single_rank_needs_no_list() -> None:
    assert parse_recipe(MINIMAL + "ranks: 8\n").ranks == (8,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MINIMAL + "learning_rat: 1\n", "'learning_rat' is no recipe key; did you mean 'learning_rate'?"),
        (MINIMAL + "zzz: 1\n", "'zzz' is no recipe key; the keys are name, base, data"),
        ("name: a\nbase: b\ndata: {trian: x}\n", "'trian' is no key of data in a recipe; did you mean 'train'?"),
        ("name: support\ndata: rows.jsonl\n", "The recipe has no 'base', which it needs."),
        ("name: a\nbase: b\ndata: {validation: x}\n", "The recipe has no 'data.train', which it needs."),
        ("", "empty"),
        ("- a\n", "not a mapping"),
        ("name: [\n", "not YAML"),
        (MINIMAL.replace("support", "Sup Port"), "'Sup Port' cannot be a name"),
        (MINIMAL + "ranks: []\n", "'ranks'"),
        (MINIMAL + "ranks: [0]\n", "ranks are 1 to 512"),
        (MINIMAL + "ranks: [4, 4]\n", "each rank is given once"),
        (MINIMAL + "ranks: many\n", "'ranks'"),
        (MINIMAL + "learning_rate: fast\n", "'learning_rate' cannot be 'fast'"),
        (MINIMAL + "learning_rate: -1\n", "'learning_rate' cannot be -1"),
        (MINIMAL + "learning_rate: .nan\n", "'learning_rate'"),
        (MINIMAL + "alpha: .inf\n", "'alpha'"),
        (MINIMAL + "alpha: 0\n", "'alpha'"),
        (MINIMAL + "dropout: 1\n", "'dropout'"),
        (MINIMAL + "schedule: sawtooth\n", "'schedule'"),
        (MINIMAL + "target_modules: []\n", "target_modules is empty"),
        (MINIMAL + "epochs: 0\n", "'epochs'"),
        (MINIMAL + "dtype: int8\n", "'dtype'"),
        (MINIMAL + "seed: -1\n", "'seed'"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text: str, said: str) -> None:
    """Every mistake is a usage error of one line that names the key."""
    with pytest.raises(UsageError) as caught:
        parse_recipe(text)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no recipe file"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LorarackError, match="UTF-8"):
        load_recipe(tmp_path / "bad.yaml")


def test_a_rank_family_has_one_digest() -> None:
    """Rank, alpha, names and places do not change the digest; a setting, the base or the rows do."""

    def digest(fingerprint: str = "sha256:a", rows: str = "sha256:b", **settings: object) -> str:
        recipe = make_recipe({"name": "a", "base": "b", "data": "c", **settings})
        return recipe.family_digest(fingerprint, {"train": rows})

    same = digest()
    assert digest(ranks=[1, 2], alpha=3, alpha_per_rank=1, name="other", base="known-otherwise", data="/moved") == same
    assert len({same, digest(fingerprint="sha256:x"), digest(rows="sha256:x"), digest(seed=1), digest(epochs=1)}) == 5
