"""The task file of the released training: Python that assigns `tasks = {name: {key: value}}`, read and never run."""

import ast
import json
from pathlib import Path
from typing import Any

from xllmx.safe.bounded_file import read_bounded

_MOST_BYTES = 2**20
_REMEDY = "write out its values, or give the tasks as task.tasks of a config (lumos/lumina_video/README.md, section 6)"


def read_tasks(path: Path) -> dict[str, dict[str, Any]]:
    """Return the tasks of a file by name: plain values under the keys of `ScaleTask`, which checks them.

    Raises:
        ValueError: no such file, no Python, no assignment or several, or one of something else than plain values.
    """
    try:
        tree = ast.parse(read_bounded(path, most_bytes=_MOST_BYTES))
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "tasks"]
    except OSError as error:
        raise ValueError(f"task file {path} cannot be read: {error.strerror}; correct --task_config") from error
    except (RecursionError, MemoryError) as error:
        raise ValueError(f"task file {path} is not read: it is nested too deeply; {_REMEDY}") from error
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"task file {path} is not read: {_reason(error)}; correct it") from error
    values = [value for node in tree.body if (value := _assigned(node)) is not None]
    if not values:
        raise ValueError(f"task file {path} has no line tasks = {{name: {{...}}}}; {_REMEDY}")
    if len(names) > 1:
        lines = ", ".join(str(node.lineno) for node in names)
        raise ValueError(f"task file {path} names tasks in lines {lines}, and only tasks = {{...}} is read; {_REMEDY}")
    return _plain(values[0], path)


def _reason(error: Exception) -> str:
    """Why Python did not parse a file, in one line; of one refusal it says what only a program can do."""
    text = " ".join(str(error).split())
    return "a number of thousands of digits" if "integer string conversion" in text else text[:200]


def _assigned(node: ast.stmt) -> ast.expr | None:
    """Return what a statement assigns to `tasks`; None where it is another."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    named = any(isinstance(target, ast.Name) and target.id == "tasks" for target in targets)
    return node.value if named and isinstance(node, ast.Assign | ast.AnnAssign) else None


def _plain(value: ast.expr, path: Path) -> dict[str, dict[str, Any]]:
    where = f"task file {path}, from line {value.lineno} on"
    try:
        tasks = ast.literal_eval(value)
        json.dumps(tasks)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        rule = "tasks must be plain values (texts, numbers, lists, dicts), and nothing in the file is run"
        raise ValueError(f"{where}: {rule}; {_REMEDY}") from error
    groups = tasks.values() if isinstance(tasks, dict) else [None]
    if not all(isinstance(one, dict) for one in groups) or not all(isinstance(name, str) for name in tasks):
        raise ValueError(f"{where}: tasks must be {{name: {{key: value}}}}; {_REMEDY}")
    return tasks
