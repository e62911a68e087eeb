"""Bad input to training and comparing: recipes, rows, references. All of it is found before torch is imported."""

from collections.abc import Callable

from tests.bad_input.world import Case, World, command

RECIPE = "name: fresh\nbase: tiny\ndata: rows.jsonl\n"
ROW = '{"prompt": "a", "completion": "b"}\n'
ROWS = ROW + ROW.replace("a", "c")


def written(recipe: str = RECIPE, rows: str | bytes = ROWS) -> Callable[[World], object]:
    """A recipe and its rows, in the world's folder."""

    def prepare(world: World) -> None:
        (world.root / "recipe.yaml").write_text(recipe)
        data = rows.encode() if isinstance(rows, str) else rows
        (world.root / "rows.jsonl").write_bytes(data)

    return prepare


def training(id: str, said: str, recipe: str = RECIPE, rows: str | bytes = ROWS, code: int = 2) -> Case:  # noqa: A002
    """Train from this recipe over these rows."""
    return Case(id, command("train", "recipe.yaml"), said, code=code, prepare=written(recipe, rows))


CASES = [
    Case("no recipe file", command("train", "nosuch.yaml"), "nosuch.yaml"),
    training("recipe with an unknown key", "did you mean 'learning_rate'?", RECIPE + "learning_rat: 1\n"),
    training("recipe that is no YAML", "not YAML", "name: [\n"),
    training("recipe with a bad value", "'batch_size'", RECIPE + "batch_size: 0\n"),
    training("recipe on no base", "nosuch", RECIPE.replace("tiny", "nosuch"), code=1),
    training("recipe with a bad name", "cannot be a name", RECIPE.replace("fresh", "../fresh")),
    training("recipe for a base's name", "belongs to a base model", RECIPE.replace("fresh", "tiny"), code=1),
    training("empty data", "rows.jsonl", rows=""),
    training("rows that are no JSON", "rows.jsonl", rows="{\n"),
    training("rows without a completion", "rows.jsonl", rows='{"prompt": "a"}\n'),
    training("rows in another encoding", "rows.jsonl", rows=ROWS.encode("utf-16")),
    training("rows that are not there", "nosuch.jsonl", RECIPE.replace("rows.jsonl", "nosuch.jsonl"), code=1),
    training("one row, nothing to validate with", "rows.jsonl", rows=ROW),
    Case("training without rows", command("train", "fresh", "--base", "tiny"), "needs --data", code=2),
    Case(
        "studying one rank",
        command("study", "recipe.yaml", "--rank", "1"),
        "more than one rank",
        code=2,
        prepare=written(),
    ),
    Case(
        "studying by no margin",
        command("study", "recipe.yaml", "--margin", "2"),
        "is no share",
        code=2,
        prepare=written(),
    ),
    Case("studying without rows", command("study", "fresh", "--base", "tiny"), "needs --data", code=2),
    Case("resizing to no rank", command("resize", "support"), "either --rank or --energy", code=2),
    Case("resizing upwards", command("resize", "support", "--rank", "64"), "makes lower ranks", code=2),
    Case("merging one version", command("merge", "support"), "two versions or more", code=2),
    Case("merging with odd weights", command("merge", "support", "support@1", "--weights", "a"), "0.7,0.3", code=2),
    Case("scaling by nothing", command("scale", "support", "--by", "0"), "makes no other adapter", code=2),
    Case("scaling what is not there", command("scale", "nobody", "--by", "2"), "nobody"),
    Case("comparing one version", command("compare", "support", "--data", "rows.jsonl"), "", code=2, prepare=written()),
    Case(
        "comparing what is not there",
        command("compare", "support", "support@9", "--data", "rows.jsonl"),
        "nothing at '@9'",
        prepare=written(),
    ),
]
