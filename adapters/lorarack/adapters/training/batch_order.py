"""In which order a run sees its rows."""

from collections.abc import Iterator, Sequence
from random import Random

from torch.utils.data import Sampler

#: Steps whose rows are drawn together and then put into steps by length.
_POOL = 50


class BatchOrder(Sampler[list[int]]):
    """Batches of rows of like length, in an order that the seed and the epoch alone decide.

    Nothing else that is drawn at random moves it, so a run that is taken up in the middle of an epoch goes on as it would have.
    The step with the longest row comes first, where memory trouble shows at once; a step that is not full comes last.
    """

    drop_last = False  # accelerate asks, to deal batches out to processes

    def __init__(self, lengths: Sequence[int], batch_size: int, accumulation: int, seed: int) -> None:
        self.batch_size = batch_size
        self._lengths = lengths
        self._step = batch_size * accumulation
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is that of ``epoch``."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-len(self._lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        draw = Random(f"{self._seed} {self._epoch}")  # noqa: S311  (not for secrets)
        rows = list(range(len(self._lengths)))
        draw.shuffle(rows)
        full = len(rows) // self._step * self._step
        steps = []
        for start in range(0, full, _POOL * self._step):
            pool = sorted(
                rows[start : min(start + _POOL * self._step, full)], key=self._lengths.__getitem__, reverse=True
            )
            steps += [pool[place : place + self._step] for place in range(0, len(pool), self._step)]
        draw.shuffle(steps)
        steps.sort(
            key=lambda step: max(map(self._lengths.__getitem__, step)) < max(self._lengths[row] for row in rows[:full])
        )
        for step in [*steps, rows[full:]]:
            yield from (step[place : place + self.batch_size] for place in range(0, len(step), self.batch_size))
