"""Bad input to experiments."""

from tests.bad_input.world import Case, World, command
from tests.command_line import lorarack
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import open_registry

ARMS = ("--arm", "1=90", "--arm", "2=10")
START = ("experiment", "start", "support@prod")


def two_versions(world: World) -> None:
    """support@1 and support@2; prod names the first."""
    lorarack(*world.publish())
    lorarack("alias", "set", "support@prod", 1)


def running(world: World) -> None:
    two_versions(world)
    assert lorarack(*START, *ARMS).code == 0


def ended(world: World) -> None:
    running(world)
    assert lorarack("experiment", "stop", "support@prod").code == 0


def other_base(world: World) -> None:
    two_versions(world)
    with open_registry(world.home) as registry:
        registry.add_base(str(tiny_base(world.root / "same-shape", seed=7)), "other")
        registry.publish(tiny_adapter(world.root / "foreign", seed=7), "foreign", base="other")


def other_adapter(world: World) -> None:
    two_versions(world)
    lorarack("publish", world.root / "published", "child", "--base", "tiny")


def moved(world: World) -> None:
    two_versions(world)
    lorarack("alias", "set", "support@prod", 2)
    with open_registry(world.home) as registry:
        registry.publish(tiny_adapter(world.root / "third", seed=33), "support", base="tiny")


def stopped(world: World) -> None:
    """A guard has stopped the second arm."""
    from lorarack.registry.experiment.observed import Answer

    two_versions(world)
    assert lorarack(*START, *ARMS, "--guard", "error_rate<0.02").code == 0
    with open_registry(world.home) as registry:
        known = {"arm": "2", "caller": "c", "key": "k", "failed": True}
        answers = [Answer(experiment=1, completion=f"a{number}", **known) for number in range(20)]
        registry.experiments.record(answers)
        assert registry.experiments.review(1).arms[1].stopped


def case(name: str, arguments: tuple[object, ...], said: str, code: int = 1, prepare: object = two_versions) -> Case:
    return Case(name, command(*arguments), said, code, prepare)  # type: ignore[arg-type]


CASES = [
    case("weights below 100", (*START, "--arm", "1=50", "--arm", "2=10"), "add up to 100, not 60", 2),
    case("weights above 100", (*START, "--arm", "1=90", "--arm", "2=90"), "add up to 100, not 180", 2),
    case("a weight of nothing", (*START, "--arm", "1=100", "--arm", "2=0"), "each be above 0", 2),
    case("a negative weight", (*START, "--arm", "1=110", "--arm", "2=-10"), "each be above 0", 2),
    case("a weight that is no number", (*START, "--arm", "1=most", "--arm", "2=10"), "write VERSION=PERCENT", 2),
    case("a weight without end", (*START, "--arm", "1=inf", "--arm", "2=10"), "each be above 0", 2),
    case("an arm without weight", (*START, "--arm", "1", "--arm", "2=10"), "write VERSION=PERCENT", 2),
    case("one arm", (*START, "--arm", "1=100"), "2 to 6 arms, not 1", 2),
    case("an arm that is not there", (*START, "--arm", "1=90", "--arm", "9=10"), "nothing at '@9'"),
    case("an arm that is no reference", (*START, "--arm", "1=90", "--arm", "No!=10"), "is not a reference", 2),
    case(
        "an arm on another base",
        (*START, "--arm", "1=90", "--arm", "foreign@1=10"),
        "arms share one base",
        prepare=other_base,
    ),
    case(
        "an arm of another adapter",
        (*START, "--arm", "1=90", "--arm", "child@1=10"),
        "is no version of 'support'",
        2,
        other_adapter,
    ),
    case(
        "no reference among the arms",
        (*START, "--arm", "1=90", "--arm", "3=10"),
        "give it one, as the reference",
        prepare=moved,
    ),
    case("a margin of nothing", (*START, *ARMS, "--margin", "0"), "A margin of 0 decides nothing", 2),
    case("a margin of everything", (*START, *ARMS, "--margin", "1"), "A margin of 1 decides nothing", 2),
    case("a margin that is no number", (*START, *ARMS, "--margin", "nan"), "decides nothing", 2),
    case("a metric without a name", (*START, *ARMS, "--metric", ""), "is no name of a metric", 2),
    case("a guard that is none", (*START, *ARMS, "--guard", "thumbs<3"), "is no guard; write", 2),
    case("a limit of nothing", (*START, *ARMS, "--limit", "0"), "give 1 or more", 2),
    case(
        "an experiment on no alias", ("experiment", "start", "support@beta", *ARMS), "has no alias 'beta'; set it with"
    ),
    case("an experiment on a version", ("experiment", "start", "support@1", *ARMS), "cannot be an alias", 2),
    case("an experiment on no adapter", ("experiment", "start", "suport@prod", *ARMS), "Did you mean 'support'?"),
    case("an experiment on an adapter", ("experiment", "start", "support", *ARMS), "names no alias", 2),
    case("a second experiment", (*START, *ARMS), "has an experiment already; end it with", prepare=running),
    case(
        "an alias moved under an experiment",
        ("alias", "set", "support@prod", "2"),
        "An experiment runs on support@prod; end it",
        prepare=running,
    ),
    case(
        "a promotion under an experiment",
        ("promote", "support@2", "prod"),
        "An experiment runs on support@prod; end it",
        prepare=running,
    ),
    case("an arm archived", ("archive", "support@2"), "an arm of the experiment on support@prod", prepare=running),
    case("an arm deleted", ("delete", "support@2"), "an arm of the experiment on support@prod", prepare=running),
    case("answers of none", ("experiment", "answers", "support@prod"), "There is no experiment on support@prod"),
    case("no answers", ("experiment", "answers", "support@prod", "--limit", "0"), "give 1 to 10,000", 2, running),
    case("experiments of no adapter", ("experiment", "list", "suport"), "Did you mean 'support'?"),
    case(
        "status of none", ("experiment", "status", "support@prod"), "There is no experiment on support@prod; begin one"
    ),
    case("stop of none", ("experiment", "stop", "support@prod"), "There is no experiment on support@prod"),
    case("stop of what has ended", ("experiment", "stop", "support@prod"), "has ended", prepare=ended),
    case("adjust of what has ended", ("experiment", "adjust", "support@prod", *ARMS), "has ended", prepare=ended),
    case(
        "adjust of one arm", ("experiment", "adjust", "support@prod", "--arm", "2=100"), "each be above 0", 2, running
    ),
    case(
        "adjust without an arm",
        ("experiment", "adjust", "support@prod", "--arm", "1=50", "--arm", "1=50"),
        "Give the weight of every arm",
        2,
        running,
    ),
    case(
        "adjust of no arm",
        ("experiment", "adjust", "support@prod", "--arm", "1=50", "--arm", "7=50"),
        "has no arm '7'; it has 1, 2",
        prepare=running,
    ),
    case(
        "adjust of a stopped arm",
        ("experiment", "adjust", "support@prod", *ARMS),
        "Arm 2 was stopped (guard error_rate<0.02: 20 of 20",
        prepare=stopped,
    ),
    case(
        "promote before anything is decided",
        ("experiment", "promote", "support@prod"),
        "Nothing is decided on support@prod",
        3,
        running,
    ),
    case(
        "promote of what is not shown",
        ("experiment", "promote", "support@prod", "2"),
        "is running, neither better nor not worse",
        3,
        running,
    ),
    case("promote of no arm", ("experiment", "promote", "support@prod", "7"), "has no arm '7'", prepare=running),
    case(
        "promote in another encoding",
        ("experiment", "promote", "support@prod", "--reason", "\udcff"),
        "is not valid UTF-8",
        2,
        running,
    ),
]
