"""Run as a program: fixed steps through `lorarack::add_lora` in a process of its own, since an operation has one form a process.

``python -m tests.server.cpu.answers KERNEL`` loads that kernel; ``-`` stands for none. Prints how many answers were right.
"""

import itertools
import sys
from pathlib import Path

import torch
from tests.server.cpu.cases import Case, Computed, assert_right, fill

from lorarack.server.cpu.custom_ops import layer_factory

ROWS = ((0, -1, 3, 3, 0, 1), (2,), (1,) * 9 + (-1,) * 2 + (0,) * 4)


def steps() -> list[Case]:
    """Every pair of types, ranks on both sides of each padding, output widths with every kind of edge."""
    types = (torch.bfloat16, torch.float32)
    ranks = ((1, 4, 5, 8), (9, 16, 17, 3), (40, 100, 64, 512))
    return [
        Case(
            slots=rows,
            inputs=inputs,
            widths=(70, 16, 5),
            ranks=tuple((slot, part, rank) for slot, rank in enumerate(held) for part in range(3) if part != slot),
            weights=weights,
            output=output,
            whole=whole,
            strided=whole,
            seed=number,
        )
        for number, (rows, inputs, held, weights, output, whole) in enumerate(
            itertools.product(ROWS, (8, 72), ranks, types, types, (True, False))
        )
    ]


def main(kernel: str) -> None:
    """Print how many answers were right; an assertion fails otherwise."""
    factory = layer_factory(None if kernel == "-" else Path(kernel))
    cases = steps()
    for case in cases:
        computed = Computed.make(factory, case, "kernel")
        fill(computed.layer, case.matrices)
        assert_right(case, computed.step(case))
    print(f"{len(cases)} right, {'kernel' if factory.kernel else 'torch'}")


if __name__ == "__main__":
    main(sys.argv[1])
