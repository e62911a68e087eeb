"""A card's metrics, tags and description come back as they were, and a stranger's card does no harm."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorarack.registry import Metric, Published
from lorarack.registry.hub.card import CardOptions, model_card
from lorarack.registry.hub.results import Claims, finished_metrics, read_claims
from lorarack.registry.values import Base

DIGEST = "sha256:" + "d" * 64

metrics = st.builds(
    Metric,
    name=st.from_regex(r"[A-Za-z][A-Za-z0-9_./-]{0,20}", fullmatch=True),
    split=st.from_regex(r"[a-z][a-z0-9_-]{0,10}", fullmatch=True),
    value=st.floats(allow_nan=False, allow_infinity=False),
    dataset=st.none() | st.sampled_from(["sha256:" + "a" * 64, "sha256:" + "1" * 64]),
    higher_is_better=st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(found=st.lists(metrics, max_size=6), description=st.none() | st.text(max_size=60))
def test_what_is_on_the_card_is_read_back(
    orders: Published, hub_base: Base, found: list[Metric], description: str | None
) -> None:
    """Names such as ``no`` or ``1e5``, which YAML likes to read as something else, and every float."""
    version = orders.version.model_copy(update={"metrics": tuple(found), "description": description})
    claims = read_claims(model_card(version, hub_base, CardOptions()), {version.digest})
    assert set(claims.metrics) == set(finished_metrics(version))
    assert claims.tags == version.tags
    if description is None:
        assert claims.description is None


def test_a_card_about_other_files_says_nothing(orders: Published, hub_base: Base) -> None:
    """Somebody put other weights under an old card: its numbers are not theirs."""
    claims = read_claims(model_card(orders.version, hub_base, CardOptions()), {DIGEST})
    assert (claims.metrics, claims.tags, claims.description) == ((), {}, None)
    assert "about other files" in claims.notes[0]


@pytest.mark.parametrize(
    "front",
    [
        "", "[]", "a: [", "1: 2", "ignore_metadata_errors: true", "model-index: 3", "model-index: [{name: x, results: 3}]",
        "model-index: [{name: x, results: [{task: [], dataset: [], metrics: 1}]}]", "tags: 3", "lorarack: 3",
        f"lorarack: {{digest: '{DIGEST}', tags: [1], description: {{}}}}",
        f"lorarack: {{digest: '{DIGEST}', tags: {{1: 2, a: [b]}}}}\neval_results: 3",
        f"lorarack: {{digest: '{DIGEST}'}}\nmodel_name: x\neval_results: [1, 2]",
        f"lorarack: {{digest: '{DIGEST}'}}\nmodel-index: [{{name: x, results: [{{task: {{type: t}}, dataset: {{type: d, name: n,"
        " split: 3}, metrics: [{type: loss, value: .nan}]}]}]",
        "a: &a [1]\nb: *a\nc: !!python/object/apply:os.system [true]",
        "{" * 3000,
    ],
)  # fmt: skip
def test_a_strangers_card_says_nothing(front: str) -> None:
    """Whatever is on it: no error, nothing taken over, nothing run."""
    claims = read_claims(f"---\n{front}\n---\n# Card\n", {DIGEST})
    assert (claims.metrics, claims.tags, claims.description) == ((), {}, None)


def test_halves_of_characters_are_replaced() -> None:
    """YAML can spell what no database can store; a stranger must not be able to stop a pull with it."""
    front = f'lorarack: {{digest: \'{DIGEST}\', tags: {{"k\\uD800": "v\\uD800"}}, description: "d\\uD800"}}'
    claims = read_claims(f"---\n{front}\n---\n", {DIGEST})
    assert (claims.tags, claims.description) == ({"k?": "v?"}, "d?")


@given(st.text())
def test_any_text_can_be_a_card(text: str) -> None:
    assert read_claims(text, {DIGEST}).metrics == ()


def test_no_card_says_nothing() -> None:
    assert read_claims("", {DIGEST}) == Claims()
