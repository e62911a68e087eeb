"""Rules of the server: one writer of the environment, a true list of what is replaced in vLLM, a public face that is as it says."""

import ast
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import lorarack.server as face

ROOT = Path(__file__).parents[2]
SERVER = ROOT / "server/lorarack/server"
WRITERS = {"pop", "popitem", "clear", "update", "setdefault", "putenv", "unsetenv"}


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SERVER.rglob("*.py")):
        yield str(path.relative_to(SERVER)), ast.parse(path.read_text())


def is_environ(node: ast.AST) -> bool:
    return ast.unparse(node) in ("os.environ", "environ", "os.environb")


def writes_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript) and is_environ(node.value):
        return isinstance(node.ctx, ast.Store | ast.Del)
    if isinstance(node, ast.AugAssign) and is_environ(node.target):
        return True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITERS:
        return is_environ(node.func.value) or ast.unparse(node.func.value) == "os"
    return False


def test_only_execute_writes_the_environment() -> None:
    """A start is planned as a value; what else set variables would be found in no plan."""
    writers = {file for file, tree in trees() for node in ast.walk(tree) if writes_environment(node)}
    assert writers == {"launch.py"}


def replaced_functions() -> Iterator[tuple[str, str]]:
    """Attributes of other objects that are assigned a function defined here."""
    for file, tree in trees():
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                several = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                lefts = target.elts if isinstance(target, ast.Tuple) and several else [target]
                rights = node.value.elts if isinstance(node.value, ast.Tuple) and several else [node.value]
                for left, right in zip(lefts, rights, strict=True):
                    if not isinstance(left, ast.Attribute) or ast.unparse(left.value) == "self":
                        continue
                    if isinstance(right, ast.Name) and right.id in functions:
                        yield file, left.attr


def test_the_decision_lists_what_is_replaced_at_run_time() -> None:
    text = (ROOT / "docs/decisions/0001-vllm-through-its-plugins.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| `([\w/]+\.py)` \|", text, re.MULTILINE)
    listed = {(file, name.rpartition(".")[2]) for names, file in rows for name in re.findall(r"`([\w.]+)`", names)}
    assert listed == set(replaced_functions())


def test_the_public_face_is_what_it_says() -> None:
    assert dir(face) == face.__all__ == sorted(face.__all__)
    for name in face.__all__:
        assert getattr(face, name).__name__ == name
    public = {name for name, value in vars(face).items() if not (name[0] == "_" or isinstance(value, types.ModuleType))}
    assert public == set(face.__all__)


def test_the_public_face_imports_neither_torch_nor_vllm() -> None:
    code = (
        "import sys, lorarack.server as s; [getattr(s, n) for n in s.__all__]; "
        "sys.exit(bool({'torch', 'vllm', 'openai'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
