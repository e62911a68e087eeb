"""BLEU and chrF of a study's answers over the whole set and against all references of a row, as papers on E2E NLG give them.

    python -m benchmarks.study_references $LORARACK_HOME/studies/NAME test.jsonl

``lorarack study --score bleu`` scores each answer beside the one expected text of its row, since it compares versions row by row;
here a row of test.jsonl (`benchmarks.study_rows`) has ``references``, and n-grams are counted over all rows, by sacrebleu.
"""

import argparse
import json
from itertools import zip_longest
from pathlib import Path

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from lorarack.registry.cli.output import out


def main() -> None:
    """One line for each version and the base."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("rows", type=Path)
    asked = parser.parse_args()
    references = [json.loads(line)["references"] for line in asked.rows.read_text(encoding="utf-8").splitlines()]
    report = json.loads((asked.study / "report.json").read_text(encoding="utf-8"))
    ranks = {line["reference"]: f"rank {line['rank']}, {line['source']}" for line in report["ranks"]}
    for version, answers in answers_of(asked.study).items():
        bleu, chrf = scores(answers, references)
        out.print(f"{version or 'base'} ({ranks.get(version, 'alone')}): BLEU {bleu:.1f}, chrF {chrf:.1f}")


def answers_of(study: Path) -> dict[str, list[str]]:
    """The saved answers in the order of the rows, by version; the base's under an empty name."""
    (folder,) = study.glob("answers-*")
    names = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["versions"]
    found: dict[str | None, dict[int, str]] = {}
    for line in (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines():
        answer = json.loads(line)
        found.setdefault(answer["digest"], {})[answer["row"]] = answer["reply"]["text"].strip()
    versions = {digest: name for name, digest in names.items()}
    return {
        versions.get(digest, ""): [rows[row] for row in range(len(rows))]
        for digest, rows in found.items()
        if digest is None or digest in versions
    }


def scores(answers: list[str], references: list[list[str]]) -> tuple[float, float]:
    """Corpus BLEU and chrF, from 0 to 100; rows may have different numbers of references."""
    sets = [list(texts) for texts in zip_longest(*references)]
    return BLEU().corpus_score(answers, sets).score, CHRF().corpus_score(answers, sets).score


if __name__ == "__main__":
    main()
