"""Bad input to finding, comparing and moving versions."""

from tests.bad_input.world import Case, World, command
from tests.command_line import lorarack
from tests.tiny import change_config, tiny_adapter, tiny_base


def two_versions(world: World) -> None:
    """``support@1`` with a loss of 0.4 is ``prod``; ``support@2`` has 0.5, ``support@3`` none."""
    lorarack("publish", world.root / "published", "support", "--base", "tiny", "--metric", "eval_loss=0.4")
    lorarack("publish", world.adapter, "support", "--base", "tiny", "--metric", "eval_loss=0.5")
    lorarack("publish", tiny_adapter(world.root / "third", seed=3), "support", "--base", "tiny")
    lorarack("alias", "set", "support@prod", 1)


def name_another_base(world: World) -> None:
    lorarack("base", "add", tiny_base(world.root / "tuned", seed=5))
    change_config(world.adapter, base_model_name_or_path="tuned")


SEARCH = [
    Case("search in an unknown adapter", command("search", "--adapter", "suport"), "Did you mean 'support'?"),
    Case("search on an unknown base", command("search", "--base", "other"), "no base model 'other' (known: 'tiny')"),
    Case("search for no rank", command("search", "--rank", "big"), "'big' is no range of ranks; write 16, 8..64", 2),
    Case("search for rank 0", command("search", "--rank", "0..8"), "is no range of ranks", 2),
    Case("search for no condition", command("search", "--metric", "eval_loss"), "is not a condition; write METRIC", 2),
    Case("search for a condition on nothing", command("search", "--metric", "X/y<1"), "cannot be a metric's name", 2),
    Case("search at no moment", command("search", "--since", "lately"), "is no moment; write a date", 2),
    Case("search in no order", command("search", "--sort", "a b"), "cannot be a metric's name", 2),
    Case(
        "search in an empty order", command("search", "--sort", ""), "An order is newest, oldest or a metric's label", 2
    ),
    Case("search behind no cursor", command("search", "--cursor", "3"), "is not a cursor of this search", 2),
    Case(
        "search behind another order's cursor",
        command("search", "--cursor", "oldest:1", "--sort", "eval_loss"),
        "give 'next' of the page before, with the same query",
        2,
    ),
    Case("search for a text in another encoding", command("search", "--text", "\udcff"), "is not valid UTF-8", 2),
    Case("search for a base in another encoding", command("search", "--base", "\udcff"), "is not valid UTF-8", 2),
    Case("search for names in another encoding", command("search", "--adapter", "\udcff*"), "is not valid UTF-8", 2),
    Case("best of an unknown adapter", command("best", "suport", "--metric", "eval_loss"), "Did you mean 'support'?"),
    Case(
        "best by what nobody measured",
        command("best", "support", "--metric", "eval_loss"),
        "has the metric eval_loss; add it",
    ),
    Case("best by no metric", command("best", "support", "--metric", "a b"), "cannot be a metric's name", 2),
]

MOVE = [
    Case(
        "promotion without a metric",
        command("promote", "support", "prod", "--require", "eval_loss"),
        "support@prod stays: support@1 has no eval_loss",
        3,
    ),
    Case(
        "promotion of a worse version",
        command("promote", "support@2", "prod", "--require", "eval_loss"),
        "is 0.5, of support@1 0.4: worse by 0.1, and it must be not worse",
        3,
        prepare=two_versions,
    ),
    Case(
        "promotion of what was not measured",
        command("promote", "support@3", "prod", "--require", "eval_loss"),
        "support@prod stays: support@3 has no eval_loss",
        3,
        prepare=two_versions,
    ),
    Case("promotion of no version", command("promote", "support@9", "prod"), "nothing at '@9'"),
    Case("promotion to no alias", command("promote", "support", "latest"), "cannot be an alias", 2),
    Case("promotion by no metric", command("promote", "support", "prod", "--require", "a b"), "cannot be a metric's name", 2),
    Case("gain without a metric", command("promote", "support", "prod", "--min-gain", 1), "name its metric with --require", 2),
    Case("force without a rule", command("promote", "support", "prod", "--force"), "name its metric with --require", 2),
    Case(
        "negative gain",
        command("promote", "support", "prod", "--require", "eval_loss", "--min-gain", "-1"),
        "give 0 or more",
        2,
    ),
    Case("rollback of no alias", command("rollback", "support@prod"), "has no alias 'prod'"),
    Case("rollback without an alias", command("rollback", "support"), "write NAME@ALIAS", 2),
    Case("rollback with nothing before", command("rollback", "support@default"), "has named no other that is ready"),
]  # fmt: skip

TELL = [
    Case("diff with what is not there", command("diff", "support", "support@9"), "nothing at '@9'"),
    Case("diff with no reference", command("diff", "support", "Support!"), "is not a reference", 2),
    Case("lineage of what is not there", command("lineage", "support@9"), "nothing at '@9'"),
    Case("nothing to tag", command("tag", "support"), "Nothing to do; give KEY=VALUE", 2),
    Case("tag without a value", command("tag", "support", "x"), "'x' is not a tag; write KEY=VALUE", 2),
    Case("tag of what is not there", command("tag", "support@9", "a=b"), "nothing at '@9'"),
    Case("tag in another encoding", command("tag", "support", "--remove", "\udcff"), "is not valid UTF-8", 2),
    Case("events of an unknown adapter", command("events", "suport"), "Did you mean 'support'?"),
]

PARENTS_AND_BASES = [
    Case(
        "parent that is no version", lambda w: w.publish("--parent", "support"), "names no parent; write NAME@NUMBER", 2
    ),
    Case("parent in no relation", lambda w: w.publish("--parent", "support@1:Big One"), "names no parent", 2),
    Case("parent that is not there", lambda w: w.publish("--parent", "support@9"), "nothing at '@9'"),
    Case(
        "adapter that names another base",
        World.publish,
        "says that it was trained on base 'tuned', not on 'tiny': the second has the same shapes",
        prepare=name_another_base,
    ),
    Case(
        "link in no relation",
        command("base", "link", "tiny", "--original", "tiny", "--relation", "friend"),
        "is not a relation; use one of quantized, converted, finetuned",
        2,
    ),
    Case(
        "base from itself",
        command("base", "link", "tiny", "--original", "tiny", "--relation", "quantized"),
        "cannot descend from itself",
        2,
    ),
    Case(
        "link to an unknown base",
        command("base", "link", "tiny", "--original", "other", "--relation", "quantized"),
        "no base model 'other'",
    ),
]

CASES = [*SEARCH, *MOVE, *TELL, *PARENTS_AND_BASES]
