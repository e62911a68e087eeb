"""Whether callers fall on the arms as the weights say; if not, the experiment's numbers cannot be trusted."""

import math
from collections.abc import Mapping


def log_mismatch(counts: Mapping[str, int], weights: Mapping[str, float]) -> float:
    """The log evidence that callers are not split by ``weights``; it may be looked at after every caller.

    A Dirichlet mixture of all other shares against the promised ones: Lindon and Malek, "Anytime-valid inference for multinomial
    count data" (NeurIPS 2022). The prior is centred on the promised shares with the weight of one caller an arm.

    Args:
        counts: arm -> callers (each once, since the weights were last changed).
        weights: arm -> weight; an arm with weight 0 must have no callers.

    Returns:
        Infinity where an arm without weight has callers.
    """
    total = sum(weights.values())
    arms = [arm for arm in weights if weights[arm] > 0]
    if any(counts.get(arm, 0) for arm in counts if arm not in arms):
        return math.inf
    prior = {arm: len(arms) * weights[arm] / total for arm in arms}
    callers = sum(counts.get(arm, 0) for arm in arms)
    mixture = math.lgamma(len(arms)) - math.lgamma(len(arms) + callers)
    mixture += sum(math.lgamma(prior[arm] + counts.get(arm, 0)) - math.lgamma(prior[arm]) for arm in arms)
    promised = sum(counts.get(arm, 0) * math.log(weights[arm] / total) for arm in arms)
    return mixture - promised
