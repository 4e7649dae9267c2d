"""The source of a TorchScript program, looked through before torch compiles it.

Loading an archive already runs two things of it: values that stand for arguments left out and for constants of a class
(they are computed), and `__setstate__` of a class. Here such values have to be literals, and no class has that method.
What else the serializer never writes is refused too, so that nothing is left to be read one way here and another there.
"""

import ast
from collections.abc import Iterator, Sequence

from lumos.tokenizer.program.operators import is_allowed

_MOST_CHARACTERS = 16 * 2**20
_MOST_DEPTH = 200

_WRITTEN = (
    ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AnnAssign, ast.If,
    ast.For, ast.While, ast.Pass, ast.Expr, ast.Name, ast.Attribute, ast.Call, ast.keyword, ast.Constant, ast.List,
    ast.Tuple, ast.Dict, ast.Subscript, ast.UnaryOp, ast.USub, ast.Load, ast.Store,
)  # fmt: skip
"""What torch writes."""

_RUN_ON_LOADING = ("__setstate__", "__getstate__")
_OF_MODULES = ("__parameters__", "__buffers__", "__annotations__")


def check_source(files: Sequence[str]) -> None:
    """Look through the sources of an archive.

    Raises:
        ValueError: something would run on loading, torch does not write it, or an operator is none of a tokenizer's.
    """
    if sum(map(len, files)) > _MOST_CHARACTERS:
        raise ValueError(f"its source has more than {_MOST_CHARACTERS} characters")
    trees = [_parsed(text) for text in files]
    nodes = [node for tree in trees for node in _nodes(tree)]
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            _check_class(node)
        elif isinstance(node, ast.FunctionDef):
            _check_function(node)
        elif isinstance(node, ast.Attribute):
            _check_name(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            _check_method(node.func, defined)


def _parsed(text: str) -> ast.Module:
    if any(word in text for word in _RUN_ON_LOADING):
        raise ValueError(f"a class of it has a method {_RUN_ON_LOADING[0]}, which would run on loading")
    if not text.isascii() or "\\\n" in text or "\r" in text or "\f" in text or '"""' in text or "'''" in text:
        raise ValueError("its source is not as torch writes it")
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"its source is not as torch writes it ({type(error).__name__})") from None


def _nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes of a tree; ValueError for one that torch does not write, and for nesting without end."""
    level: list[ast.AST] = [tree]
    for _ in range(_MOST_DEPTH):
        yield from level
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        for node in level:
            if not isinstance(node, _WRITTEN):
                raise ValueError(f"its source holds a {type(node).__name__}, which torch does not write")
        if not level:
            return
    raise ValueError(f"its source is nested more than {_MOST_DEPTH} deep")


def _check_class(node: ast.ClassDef) -> None:
    bases = [base.id if isinstance(base, ast.Name) else "" for base in node.bases]
    if bases != ["Module"] or node.keywords or node.decorator_list:
        raise ValueError(f"its class {node.name} is no module; a tokenizer is made of modules")
    for line in node.body:
        if isinstance(line, ast.AnnAssign):
            values = [line.value]
        elif isinstance(line, ast.Assign):
            values = [line.value] if _is_own_list(line) else []
        elif isinstance(line, ast.FunctionDef | ast.Pass):
            values = []
        else:
            raise ValueError(f"its class {node.name} holds a {type(line).__name__}, which torch does not write")
        for value in values:
            _check_literal(value, f"class {node.name}")


def _is_own_list(line: ast.Assign) -> bool:
    """Whether a class says its parameters or buffers here, and not the type of an attribute called "0"."""
    target = line.targets[0]
    name = target.value if isinstance(target, ast.Subscript) else target
    if len(line.targets) != 1 or not isinstance(name, ast.Name) or name.id not in _OF_MODULES:
        raise ValueError("its source sets something in a class that torch does not set")
    return not isinstance(target, ast.Subscript)


def _check_function(node: ast.FunctionDef) -> None:
    if node.decorator_list:
        raise ValueError(f"its function {node.name} is decorated, which torch does not write")
    for value in (*node.args.defaults, *node.args.kw_defaults):
        _check_literal(value, f"function {node.name}")


def _check_literal(value: ast.expr | None, where: str) -> None:
    for node in ast.walk(value) if value is not None else ():
        if not isinstance(node, ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.UnaryOp | ast.USub | ast.Load):
            raise ValueError(f"a value in its {where} would be computed on loading")


def _check_name(node: ast.Attribute) -> None:
    """Raise ValueError for a name under `torch` or `ops` that is no operator of a tokenizer's, or of another kind."""
    words = [node.attr]
    inner: ast.expr = node.value
    while isinstance(inner, ast.Attribute):
        words.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name):
        return
    words.reverse()
    if inner.id == "torch":
        check_operator("::".join(["aten", *words]))
    elif inner.id == "ops" and len(words) > 1:
        check_operator("::".join(words))
    elif inner.id == "__torch__" and words[:2] == ["torch", "classes"]:
        raise ValueError(f"it uses the class {'.'.join(words)}, which no tokenizer needs")


def _check_method(node: ast.Attribute, defined: set[str]) -> None:
    """Raise ValueError for a call `value.name(...)` of neither a method of the archive nor an allowed operator."""
    root = node.value
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(root, ast.Name) and root.id in ("torch", "ops", "__torch__"):
        return
    if node.attr not in defined:
        check_operator(f"aten::{node.attr}")


def check_operator(name: str, where: str = "") -> None:
    """Raise ValueError for an operator that is not allowed."""
    if not is_allowed(name):
        raise ValueError(f"it uses {name}{where}, which no tokenizer needs")
