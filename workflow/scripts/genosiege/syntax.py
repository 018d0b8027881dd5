"""What Python code says, as one digest: comments, docstrings and hints of types count nothing."""

import ast
import hashlib
from typing import Any


def digest(tree: ast.AST) -> str:
    """Give the SHA-256 of what a syntax tree says.

    Parameters
    ----------
    tree : ast.AST
        Of a whole file.

    Returns
    -------
    str
        Hexadecimal. It is the same whatever the comments, the layout, the docstrings and other
        bare strings, the annotations of functions' arguments and results and of variables in
        functions. Annotations of classes count: dataclasses and models compute from them. So
        does every other token.

    Notes
    -----
    `ast.dump` differs between versions of Python: in which fields there are, which of them are
    left out, how f-strings are cut. Here a field that is empty is left out, and neighbouring
    texts of an f-string are joined, so that 3.11 to 3.13 give equal digests.
    """
    words: list[str] = []
    _say(tree, words, in_function=False)
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
# Where it stands says whether a name is read or written; the others are of the parser.
_UNSAID = frozenset({"ctx", "kind", "type_comment", "type_ignores", "simple"})


def _say(node: object, words: list[str], in_function: bool) -> None:
    if isinstance(node, list):
        words.append("[")
        for item in node:
            if not _says_nothing(item):
                _say(item, words, in_function)
        words.append("]")
    elif not isinstance(node, ast.AST):
        words.append(f"{type(node).__name__} {node!r}")
    elif isinstance(node, ast.AnnAssign) and in_function:
        _say(_unannotated(node), words, in_function)
    else:
        _say_node(node, words, in_function)


def _say_node(node: ast.AST, words: list[str], in_function: bool) -> None:
    words.append(type(node).__name__)
    inside = isinstance(node, _FUNCTIONS) or (in_function and not isinstance(node, ast.ClassDef))
    is_constant = isinstance(node, ast.Constant)
    for name in node._fields:
        if name in _UNSAID or _is_hint(node, name):
            continue
        value: Any = getattr(node, name, None)
        if is_constant or (value is not None and value != []):
            words.append(name)
            _say(_joined(value) if isinstance(node, ast.JoinedStr) else value, words, inside)
    words.append(".")


def _says_nothing(node: object) -> bool:
    """Whether a statement is a bare string, or the `pass` in its place."""
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_hint(node: ast.AST, field: str) -> bool:
    """Whether a field is the annotation of a function's argument or result."""
    return (isinstance(node, ast.arg) and field == "annotation") or (
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and field == "returns"
    )


def _unannotated(node: ast.AnnAssign) -> ast.AST:
    """Give the assignment alone; without a value the name is still the function's own."""
    if node.value is None:
        return ast.Delete([node.target])
    return ast.Assign([node.target], node.value)


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """Put neighbouring texts of an f-string together."""
    joined: list[ast.expr] = []
    for value in values:
        last = joined[-1] if joined else None
        if isinstance(value, ast.Constant) and isinstance(last, ast.Constant):
            joined[-1] = ast.Constant(str(last.value) + str(value.value))
        else:
            joined.append(value)
    return joined
