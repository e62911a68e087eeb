"""Who gets which arm: a caller keeps it, and weights mean what they say."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorarack.registry.experiment.assignment import assign_arm

CALLERS = [f"user-{number}" for number in range(10_000)]


def assigned(weights: dict[str, float], salt: str = "s") -> dict[str, str]:
    return {caller: assign_arm(salt, caller, weights) for caller in CALLERS}


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_an_arm_gets_its_share(share: float) -> None:
    arms = list(assigned({"3": 1 - share, "5": share}).values())
    assert arms.count("5") / len(arms) == pytest.approx(share, abs=4 * (share * (1 - share) / len(arms)) ** 0.5)


def test_callers_keep_their_arm_in_another_process() -> None:
    weights = {"3": 90.0, "5": 10.0}
    program = (
        "from lorarack.registry.experiment.assignment import assign_arm\n"
        f"print(*(assign_arm('s', f'user-{{n}}', {weights}) for n in range(1000)))"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert other == [assign_arm("s", caller, weights) for caller in CALLERS[:1000]]


@pytest.mark.parametrize("arms", [("3", "5"), ("3", "5", "7", "9")])
def test_a_weight_that_is_raised_moves_callers_into_that_arm_only(arms: tuple[str, ...]) -> None:
    before = assigned(dict.fromkeys(arms, 1.0))
    after = assigned({**dict.fromkeys(arms, 1.0), "5": 2.0})
    moved = {caller for caller in CALLERS if before[caller] != after[caller]}
    assert moved
    assert {after[caller] for caller in moved} == {"5"}
    assert {caller for caller in CALLERS if before[caller] == "5"} <= {
        caller for caller in CALLERS if after[caller] == "5"
    }


def test_only_the_ratio_of_weights_matters() -> None:
    assert assigned({"3": 90, "5": 10}) == assigned({"3": 0.9, "5": 0.1})


def test_another_salt_deals_anew() -> None:
    one, other = assigned({"3": 1, "5": 1}, "one"), assigned({"3": 1, "5": 1}, "other")
    assert 0.45 < sum(one[caller] == other[caller] for caller in CALLERS) / len(CALLERS) < 0.55


@given(
    st.text(), st.text(), st.dictionaries(st.text(), st.floats(0, 1e6), min_size=1).filter(lambda w: any(w.values()))
)
def test_any_caller_gets_an_arm_with_weight(salt: str, caller: str, weights: dict[str, float]) -> None:
    assert weights[assign_arm(salt, caller, weights)] > 0
