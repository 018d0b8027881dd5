"""The code of a job as one digest: which files it is made of, and what counts in them."""

import ast
import json
import os
from pathlib import Path

import pytest
from refusals import refusal

from genosiege import code_digest, syntax

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow/scripts"

FILES = {
    "genosiege/__init__.py": "",
    "genosiege/alone.py": "import os\n",
    "genosiege/base.py": "",
    "genosiege/deep/__init__.py": "from genosiege import base\n",
    "genosiege/deep/leaf.py": "from . import twin\nfrom ..alone import anything\n",
    "genosiege/deep/twin.py": "",
    "genosiege/late.py": "def f():\n    from genosiege.deep import twin\n    return twin\n",
    "genosiege/typed.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from genosiege import alone\n"
        "else:\n    from genosiege import base\n"
    ),
    "genosiege/ring_a.py": "import genosiege.ring_b\n",
    "genosiege/ring_b.py": "from genosiege import ring_a\n",
    "script.py": "from genosiege.deep import leaf\n",
    "late_script.py": "from genosiege import late\n",
    "typed_script.py": "from genosiege import typed\n",
    "ring_script.py": "from genosiege.ring_a import x\n",
    "plain_script.py": "import json\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def names(root: Path, *starts: str) -> set[str]:
    found = code_digest.closure([root / start for start in starts], root)
    return {str(path.relative_to(root)) for path in found}


def test_relative_imports_and_package_init_files_are_followed(root):
    assert names(root, "script.py") == {
        "script.py",
        "genosiege/__init__.py",
        "genosiege/deep/__init__.py",  # its own import follows
        "genosiege/base.py",
        "genosiege/deep/leaf.py",
        "genosiege/deep/twin.py",
        "genosiege/alone.py",
    }


def test_an_import_inside_a_function_counts(root):
    assert "genosiege/deep/twin.py" in names(root, "late_script.py")


def test_an_import_for_type_checking_does_not_count_but_its_else_does(root):
    found = names(root, "typed_script.py")

    assert "genosiege/alone.py" not in found
    assert "genosiege/base.py" in found


def test_circular_imports_end(root):
    assert {"genosiege/ring_a.py", "genosiege/ring_b.py"} <= names(root, "ring_script.py")


def test_a_script_without_the_library_is_alone(root):
    assert names(root, "plain_script.py") == {"plain_script.py"}


def test_a_module_to_start_from_brings_its_packages(root):
    assert names(root, "genosiege/deep/twin.py") == {
        "genosiege/deep/twin.py",
        "genosiege/deep/__init__.py",
        "genosiege/base.py",
        "genosiege/__init__.py",
    }


def test_a_start_that_is_missing_is_an_error(root):
    with pytest.raises(FileNotFoundError):
        code_digest.closure([root / "absent.py"], root)


# What counts in a file ----------------------------------------------------------------


def said(text: str) -> str:
    return syntax.digest(ast.parse(text))


BASE = """
import os
from dataclasses import dataclass

@dataclass
class Options:
    size: int = 3

    def area(self, scale):
        total = self.size * scale
        return f"{total:>{scale}} of {self.size!r}"
"""

SAME = {
    "a comment": ("total = self", "# why\n        total = self"),
    "layout": ("self.size * scale", "(\n            self.size\n            * scale\n        )"),
    "a docstring": ("def area(self, scale):\n", 'def area(self, scale):\n        """Tell."""\n'),
    "a docstring of a class": ("class Options:\n", 'class Options:\n    """Sizes."""\n'),
    "a docstring of the module": ("\nimport os\n", '\n"""Sizes."""\nimport os\n'),
    "a text below a name": ("size: int = 3\n", 'size: int = 3\n    """In bp."""\n'),
    "hints of a signature": ("(self, scale):", "(self, scale: int) -> str:"),
    "a hint in a function": ("total = self", "total: int = self"),
    "other quotes": ('f"{total:>{scale}} of', 'f"" f"{total:>{scale}} " f"of'),
    "pass": ("size: int = 3\n", "size: int = 3\n    pass\n"),
}
OTHER = {
    "a value": ("= 3", "= 4"),
    "a type of a value": ("= 3", "= 3.0"),
    "the hint of a class": ("size: int", "size: float"),
    "a class's hint alone": ("size: int = 3\n", "size: int = 3\n    more: int\n"),
    "a name": ("total = self", "totals = self"),
    "an operator": ("self.size * scale", "self.size + scale"),
    "an import": ("import os", "import sys"),
    "a decorator": ("@dataclass", "@dataclass(frozen=True)"),
    "a default": ("(self, scale):", "(self, scale=1):"),
    "a kind of argument": ("(self, scale):", "(self, *, scale):"),
    "how a text is cut": ("{self.size!r}", "{self.size!s}"),
    "a width": (":>{scale}}", ":<{scale}}"),
    "a text that is used": ("of {self", "Of {self"),
    "a text that is returned": ("total = self", "'x'.upper()\n        total = self"),
    "what an import is called": ("import os\n", "import os as system\n"),
}


def edited(change: tuple[str, str]) -> str:
    assert BASE.count(change[0]) == 1
    return BASE.replace(*change)


@pytest.mark.parametrize("what", SAME)
def test_what_says_the_same_has_the_same_digest(what):
    assert edited(SAME[what]) != BASE
    assert said(edited(SAME[what])) == said(BASE)


@pytest.mark.parametrize("what", OTHER)
def test_what_says_something_else_has_another_digest(what):
    assert said(edited(OTHER[what])) != said(BASE)


def test_a_name_of_a_function_stays_its_own_without_a_value():
    assert said("def f():\n    x: int\n    return x") != said("def f():\n    return x")
    assert said("def f():\n    x: int") == said("def f():\n    x: str")
    assert said("x: int = 3") != said("x: str = 3")
    # A class in a function is a class.
    inner = "def f():\n    class A:\n        x: {}\n        def g(self):\n            y: {} = 1"
    assert said(inner.format("int", "int")) == said(inner.format("int", "str"))
    assert said(inner.format("int", "int")) != said(inner.format("str", "int"))


def test_digests_do_not_hang_on_the_version_of_python():
    # What 3.12 and 3.13 have or leave out, made by hand.
    function = ast.parse("def f(x):\n    return f'a{x}b'").body[0]
    assert isinstance(function, ast.FunctionDef)
    before = syntax.digest(function)
    function.type_params = []
    function.type_comment = None
    assert syntax.digest(function) == before
    del function.decorator_list
    assert syntax.digest(function) == before

    assert said(BASE).startswith("fe11f3f4875f077f")


MODULES = sorted(
    path for path in [*SCRIPTS.glob("*.py"), *SCRIPTS.glob("genosiege/**/*.py")]
    if any(not isinstance(node, ast.Expr) for node in ast.parse(path.read_text()).body)
)  # fmt: skip


def bare(text: str) -> str:
    """Take what says nothing out of a file: by Python's own tools, and another way than ours."""

    class Strip(ast.NodeTransformer):
        depth: tuple[bool, ...] = (False,)

        def within(self, node, function):
            self.depth = (*self.depth, function)
            node = self.generic_visit(node)
            self.depth = self.depth[:-1]
            node.body = [
                one for one in node.body
                if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
                        and isinstance(one.value.value, str))
            ] or [ast.Pass()]  # fmt: skip
            return node

        def visit_FunctionDef(self, node):
            node.returns = None
            return self.within(node, function=True)

        def visit_ClassDef(self, node):
            return self.within(node, function=False)

        def visit_Module(self, node):
            return self.within(node, function=False)

        def visit_arg(self, node):
            node.annotation = None
            return node

        def visit_AnnAssign(self, node):
            node = self.generic_visit(node)
            if self.depth[-1] and node.value is not None:
                return ast.copy_location(ast.Assign([node.target], node.value), node)
            return node

    return ast.unparse(ast.fix_missing_locations(Strip().visit(ast.parse(text))))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_without_comments_docstrings_and_hints_has_its_digest(path):
    text = path.read_text()
    assert said(bare(text)) == said(text)


@pytest.mark.parametrize("path", MODULES[::3], ids=lambda path: path.stem)
def test_any_name_and_value_of_a_module_counts(path):
    tree = ast.parse(path.read_text())
    before = syntax.digest(tree)
    hints = {id(node) for hint in _hints(tree) for node in ast.walk(hint)}
    changed = 0
    for node in ast.walk(tree):
        field = FIELDS.get(type(node))
        old = getattr(node, field) if field else None
        if field is None or id(node) in hints or (isinstance(old, str) and field == "value"):
            continue
        setattr(node, field, "another")
        assert syntax.digest(tree) != before, ast.unparse(node)
        setattr(node, field, old)
        changed += 1
        if changed == 40:
            break
    assert changed and syntax.digest(tree) == before


FIELDS = {
    ast.Name: "id",
    ast.Attribute: "attr",
    ast.keyword: "arg",
    ast.alias: "name",
    ast.Constant: "value",
    ast.FunctionDef: "name",
    ast.arg: "arg",
}


def _hints(tree: ast.AST) -> list[ast.AST]:
    found = []
    for node in ast.walk(tree):
        found += [getattr(node, "annotation", None), getattr(node, "returns", None)]
    return [hint for hint in found if isinstance(hint, ast.AST)]


# What a run keeps and a job checks ----------------------------------------------------


@pytest.fixture
def kept(root: Path) -> Path:
    """What a run of some files has kept."""
    code_digest.forget()
    code_digest.keep(root, root / ".snakemake/code.json")
    return root / ".snakemake/code.json"


def test_the_digest_of_a_job_names_its_script_and_modules(root):
    code_digest.forget()
    one = code_digest.of_job("script", [], root)
    two = code_digest.of_job("script", ["genosiege.late", "genosiege.none"], root)

    assert one.split()[1:] == ["script"]
    assert two.split()[1:] == ["script", "genosiege.late", "genosiege.none"]
    assert one.split()[0] != two.split()[0]
    # The same files by another name.
    assert one.split()[0] == code_digest.of_job("script", ["genosiege.base"], root).split()[0]


def test_an_edited_module_changes_the_jobs_that_import_it(root):
    def digests() -> list[str]:
        code_digest.forget()
        return [code_digest.of_job(name, [], root) for name in ("script", "plain_script")]

    before = digests()
    with (root / "genosiege/deep/twin.py").open("a") as handle:
        handle.write("# a comment\n")
    assert digests() == before
    with (root / "genosiege/deep/twin.py").open("a") as handle:
        handle.write("x = 1\n")
    after = digests()
    assert (after[0] != before[0], after[1] == before[1]) == (True, True)


def test_a_name_that_becomes_a_module_is_found(root):
    code_digest.forget()
    assert "genosiege/alone/anything.py" not in names(root, "script.py")
    (root / "genosiege/alone.py").unlink()
    (root / "genosiege/alone").mkdir()
    (root / "genosiege/alone/__init__.py").touch()
    (root / "genosiege/alone/anything.py").touch()
    code_digest.forget()
    assert "genosiege/alone/anything.py" in names(root, "script.py")


def test_a_process_reads_a_file_once(root):
    code_digest.forget()
    before = code_digest.of_job("script", [], root)
    (root / "genosiege/deep/twin.py").write_text("x = 1\n")
    assert code_digest.of_job("script", [], root) == before


def test_what_was_kept_spares_reading(root, kept, monkeypatch):
    before = code_digest.of_job("script", [], root)
    code_digest.recall(root, kept)
    monkeypatch.setattr(syntax, "digest", None)
    assert code_digest.of_job("script", [], root) == before
    assert code_digest.changed(root) == []


def test_a_file_that_was_written_since_is_read_anew(root, kept):
    before = code_digest.of_job("script", [], root)
    path = root / "genosiege/deep/twin.py"
    times = path.stat()
    path.write_text("x")
    path.write_text("")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    path.write_text("y = 1\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    code_digest.recall(root, kept)
    assert code_digest.of_job("script", [], root) != before
    assert code_digest.changed(root) == ["genosiege/deep/twin.py"]
    # A job takes what its call has read.
    code_digest.recall(root, kept, trusting=True)
    assert code_digest.of_job("script", [], root) == before


def test_what_was_read_in_another_way_is_read_anew(root, kept, monkeypatch):
    before = code_digest.of_job("script", [], root)
    content = json.loads(kept.read_text())
    for entry in content["files"].values():
        entry[1] = "of another way"
    kept.write_text(json.dumps(content))
    code_digest.recall(root, kept)
    assert code_digest.of_job("script", [], root) != before

    monkeypatch.setattr(code_digest, "_reader", lambda: "this way")
    code_digest.recall(root, kept)
    assert code_digest.of_job("script", [], root) == before


@pytest.mark.parametrize("files", ["", "3", '{"script.py": 1}', '{"script.py": [1, 2]}', "{}}"])
def test_what_cannot_be_read_is_not_missed(root, kept, files, monkeypatch):
    before = code_digest.of_job("script", [], root)
    monkeypatch.setattr(code_digest, "_reader", lambda: 1)
    kept.write_text(f'{{"reader": 1, "files": {files}}}')
    code_digest.recall(root, kept)
    assert code_digest.of_job("script", [], root) == before


def test_a_job_whose_code_has_changed_ends_in_one_line(root, kept, monkeypatch):
    monkeypatch.chdir(root)
    kept.rename(root / code_digest.KEPT)
    code = code_digest.of_job("late_script", [], root)
    (root / "genosiege/alone.py").write_text("import sys\n")
    code_digest.check(code, root)

    path = root / "genosiege/deep/twin.py"
    path.write_text("x = 1\n")
    message = refusal(code_digest.check, code, root)
    assert message.startswith("genosiege/alone.py, genosiege/deep/twin.py: this code has changed")
    path.write_text("x = (\n")
    assert "never closed" in refusal(code_digest.check, code, root)
    path.unlink()
    assert "changed" in refusal(code_digest.check, code, root)
    path.write_text("# as it was\n")
    code_digest.check(code, root)
