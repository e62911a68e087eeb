"""Make the shipped rows again, byte for byte: ``python -m lorarack.demo.orders.generate [FOLDER]``."""

import json
import sys
from pathlib import Path

from lorarack.demo.orders.facts import TASK
from lorarack.demo.orders.grammar import Speaker

SEED = 20260
SPLITS = {"train": 256, "validation": 48, "heldout": 96}


def make_rows(seed: int = SEED) -> dict[str, list[str]]:
    """The lines of every split; no sentence and no order appears twice, in one split or in two."""
    speaker = Speaker(seed)
    said: set[str] = set()
    meant: set[str] = set()
    splits: dict[str, list[str]] = {}
    for split, count in SPLITS.items():
        lines: list[str] = []
        while len(lines) < count:
            sentence, call = speaker.order()
            if sentence in said or call in meant:
                continue
            said.add(sentence)
            meant.add(call)
            lines.append(_row(sentence, call))
        splits[split] = lines
    return splits


def write_rows(folder: Path) -> None:
    """Write ``train.jsonl``, ``validation.jsonl`` and ``heldout.jsonl`` into ``folder``."""
    for split, lines in make_rows().items():
        (folder / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _row(sentence: str, call: str) -> str:
    messages = [
        {"role": "system", "content": TASK.system},
        {"role": "user", "content": sentence},
        {"role": "assistant", "content": call},
    ]
    return json.dumps({"messages": messages}, ensure_ascii=False)


if __name__ == "__main__":
    write_rows(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
