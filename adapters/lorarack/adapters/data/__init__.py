"""Rows to train and compare on: read in the common forms, identified by digest, split, and checked for leaks."""

from lorarack.adapters.data.load import load_rows, read_rows
from lorarack.adapters.data.messages import Message, PromptOptions, ToolCall
from lorarack.adapters.data.options import ReadOptions
from lorarack.adapters.data.rows import Row, Rows
from lorarack.adapters.data.split import check_leaks, split_rows

__all__ = [
    "Message",
    "PromptOptions",
    "ReadOptions",
    "Row",
    "Rows",
    "ToolCall",
    "check_leaks",
    "load_rows",
    "read_rows",
    "split_rows",
]
