"""Rows to train and compare on: read, told apart by their digest, split, and checked for leaks."""

from lorarack.adapters.data.messages import Message, PromptOptions, ToolCall
from lorarack.adapters.data.rows import Row, Rows, load_rows
from lorarack.adapters.data.split import check_leaks, split_rows

__all__ = ["Message", "PromptOptions", "Row", "Rows", "ToolCall", "check_leaks", "load_rows", "split_rows"]
