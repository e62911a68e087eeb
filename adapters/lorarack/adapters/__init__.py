"""Making adapters: train them at several ranks, evaluate them, compare the ranks.

Names are imported when they are asked for, and torch not before training begins.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorarack.adapters.comparison.offline import compare_scores
    from lorarack.adapters.comparison.verdict import Comparison
    from lorarack.adapters.data.load import load_rows
    from lorarack.adapters.data.options import ReadOptions
    from lorarack.adapters.data.rows import Row, Rows
    from lorarack.adapters.evaluation.answers import Evaluation, Subject
    from lorarack.adapters.evaluation.judge import JudgeServer
    from lorarack.adapters.evaluation.scores import find_score
    from lorarack.adapters.evaluation.server import EvaluationServer
    from lorarack.adapters.operations import compare, evaluate
    from lorarack.adapters.promotion import not_worse_than
    from lorarack.adapters.ranks.merge import merge
    from lorarack.adapters.ranks.resize import resize
    from lorarack.adapters.ranks.scale import scale
    from lorarack.adapters.recipe import Recipe, load_recipe, make_recipe
    from lorarack.adapters.rehearsal import Rehearsal, rehearse
    from lorarack.adapters.studies.report import StudyReport
    from lorarack.adapters.studies.run import study
    from lorarack.adapters.training.run import train

__all__ = [
    "Comparison",
    "Evaluation",
    "EvaluationServer",
    "JudgeServer",
    "ReadOptions",
    "Recipe",
    "Rehearsal",
    "Row",
    "Rows",
    "StudyReport",
    "Subject",
    "compare",
    "compare_scores",
    "evaluate",
    "find_score",
    "load_recipe",
    "load_rows",
    "make_recipe",
    "merge",
    "not_worse_than",
    "rehearse",
    "resize",
    "scale",
    "study",
    "train",
]

_MODULES = {
    "comparison.offline": "compare_scores",
    "comparison.verdict": "Comparison",
    "data.load": "load_rows",
    "data.options": "ReadOptions",
    "data.rows": "Row Rows",
    "evaluation.answers": "Evaluation Subject",
    "evaluation.judge": "JudgeServer",
    "evaluation.scores": "find_score",
    "evaluation.server": "EvaluationServer",
    "operations": "compare evaluate",
    "promotion": "not_worse_than",
    "ranks.merge": "merge",
    "ranks.resize": "resize",
    "ranks.scale": "scale",
    "recipe": "Recipe load_recipe make_recipe",
    "rehearsal": "Rehearsal rehearse",
    "studies.report": "StudyReport",
    "studies.run": "study",
    "training.run": "train",
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    return found


def __dir__() -> list[str]:
    return __all__
