"""How rows are to be read, where it is not left to what the rows look like."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: Which of a conversation's answers are learned.
Answers = Literal["last", "every"]

#: What a column can be said to hold.
COLUMNS = (
    *("prompt", "completion", "messages", "conversations", "text", "instruction", "input", "output", "system"),
    *("tools", "documents", "chat_template_kwargs"),
)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The keys of ``data`` in a recipe that say how rows are read.

    Attributes:
        columns: what the rows are to have (``prompt``) by the column that holds it (``question``).
        chat: whether prompts and answers are conversations; None: as their shape says.
        answers: which of a conversation's answers are rows.
        revision: the commit of a data set on the Hub; None: the newest.
        subset: which configuration of a data set on the Hub.
        split: the split to read, by its own name; None: the one that ``role`` suggests.
        role: ``train``, ``validation`` or ``test``: what the rows are for.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    chat: bool | None = None
    answers: Answers = "last"
    revision: str | None = None
    subset: str | None = None
    split: str | None = None
    role: str = "train"
