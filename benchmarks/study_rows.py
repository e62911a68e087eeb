"""Cut E2E NLG or CLINC150 to rows for a study: ``python -m benchmarks.study_rows e2e FOLDER OUT --train 800``.

FOLDER has the files as JSON Lines: ``e2e_train.jsonl`` (prompt, completion) and ``e2e_test.jsonl`` (prompt, references), or
``clinc150_train.jsonl``, ``clinc150_val.jsonl`` and ``clinc150_test.jsonl`` (text, intent). OUT gets ``train.jsonl``,
``validation.jsonl`` and ``test.jsonl``, drawn by a seed, no prompt in two of them. An intent is written with spaces, as a text.
"""

import argparse
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=["e2e", "clinc150"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, default=800)
    parser.add_argument("--validation", type=int, default=64)
    parser.add_argument("--test", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    splits = (_e2e if asked.data == "e2e" else _clinc150)(asked.folder, asked.seed, asked.validation)
    asked.out.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    for name in ("test", "validation", "train"):
        rows = [row for row in splits[name] if row["prompt"] not in seen][: getattr(asked, name)]
        seen |= {row["prompt"] for row in rows}
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (asked.out / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        print(f"{asked.out / name}.jsonl: {len(rows)} rows")


def _e2e(folder: Path, seed: int, validation: int) -> dict[str, list[Row]]:
    """Texts of one meaning are several training rows; one of them is a validation row; a test row has all as ``references``."""
    prompts: dict[str, list[Row]] = {}
    for row in _read(folder / "e2e_train.jsonl"):
        made = {"prompt": row["prompt"] + "\n", "completion": row["completion"].strip()}
        prompts.setdefault(row["prompt"], []).append(made)
    groups = _drawn(prompts.values(), seed)
    test = [
        {"prompt": row["prompt"] + "\n", "completion": texts[0], "references": texts}
        for row in _read(folder / "e2e_test.jsonl")
        for texts in [[text.strip() for text in row["references"]]]
    ]
    return {
        "train": _drawn((row for rows in groups[validation:] for row in rows), seed),
        "validation": [rows[0] for rows in groups[:validation]],
        "test": _drawn(test, seed),
    }


def _clinc150(folder: Path, seed: int, _: int) -> dict[str, list[Row]]:
    return {
        name: _drawn(
            (
                {"prompt": row["text"] + "\n", "completion": row["intent"].replace("_", " ")}
                for row in _read(folder / f"clinc150_{file}.jsonl")
            ),
            seed,
        )
        for name, file in (("train", "train"), ("validation", "val"), ("test", "test"))
    }


def _read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _drawn(items: Iterable[Any], seed: int) -> list[Any]:
    drawn = list(items)
    random.Random(seed).shuffle(drawn)
    return drawn


if __name__ == "__main__":
    main()
