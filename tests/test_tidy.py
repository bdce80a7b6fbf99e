"""The house rules that a machine can see: sizes, doors, maps, citations, no addresses, no leftovers."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "shanfu").rglob("*.py"))
PACKAGES = sorted(p for p in (ROOT / "shanfu").rglob("__init__.py") if "migrations" not in p.parts)
LONG_TABLES = {"shanfu/emv/tags.py", "shanfu/iso8583/codes.py"}  # a standard's table is as long as the standard
FILE_LINES, FUNCTION_LINES, POSITIONAL = 600, 70, 3
VOCABULARY = {"errors", "money", "pan", "clock", "dialogue", "events", "settings", "tokens"}

relative = [str(p.relative_to(ROOT)) for p in SOURCES]
each_source = pytest.mark.parametrize("path", SOURCES, ids=relative)


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@each_source
def test_sizes(path: Path) -> None:
    text = path.read_text()
    if str(path.relative_to(ROOT)) not in LONG_TABLES:
        assert len(text.splitlines()) <= FILE_LINES
    for function in functions(ast.parse(text)):
        if "migrations" in path.parts:  # a list of tables, however many there are
            continue
        assert function.end_lineno is not None
        assert function.end_lineno - function.lineno < FUNCTION_LINES, function.name


@each_source
def test_at_most_three_positional_parameters(path: Path) -> None:
    for function in functions(ast.parse(path.read_text())):
        if function.name == "__new__":  # the columns of an enum's table
            continue
        names = [
            a.arg for a in function.args.posonlyargs + function.args.args if a.arg not in ("self", "cls") and a.arg[0] != "_"
        ]
        required = len(names) - len(function.args.defaults)
        assert required <= POSITIONAL + 1, f"{function.name}: {names}"


@each_source
def test_every_module_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, path
    assert len(docstring) > 30
    assert "To be written" not in docstring


@pytest.mark.parametrize("path", PACKAGES, ids=[str(p.parent.relative_to(ROOT)) for p in PACKAGES])
def test_every_door_says_what_it_offers(path: Path) -> None:
    if path.parent == ROOT / "shanfu":
        return
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return  # ruff (RUF022) keeps it sorted
    pytest.fail("no __all__")


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return [name for name in found if name.startswith("shanfu.")]


@each_source
def test_others_come_in_through_the_door(path: Path) -> None:
    own = path.relative_to(ROOT / "shanfu").parts[0]
    for name in imports(path):
        package, *inner = name.split(".")[1:]
        if package != own and package not in VOCABULARY:
            assert not inner, f"{name}: import from shanfu.{package} instead"


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, check=False, capture_output=True, text=True).stdout
    return [ROOT / name for name in listing.split() if (ROOT / name).is_file()]


LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX)\b|NotImplementedError")
ADDRESSES = re.compile(r"https?://(?!127\.0\.0\.1|localhost|www\.apache\.org)[^\s)>]*(pypi|simple/|registry)|/work/|/root/")


@each_source
def test_no_leftovers(path: Path) -> None:
    assert not LEFTOVERS.search(path.read_text())


def test_no_address_of_a_registry_or_a_machine() -> None:
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".txt", ".json", ".sh", ".yml", ""} and path.name != "test_tidy.py":
            found = ADDRESSES.search(path.read_text(errors="replace"))
            assert not found, f"{path.relative_to(ROOT)}: {found and found.group()}"


SOURCE_KEYS = re.compile(r"#\s*((?:EMV|ISO|JR/T|TR-31|X9\.\d+|PCI|RFC|GB/T|GM/T|Q/CUP|NIST)\b[^:;,(]*)")


def test_cited_documents_are_listed() -> None:
    """A key like `EMV B3`, `ISO 9797-1`, `JR/T 0025.12` that stands beside a rule resolves in docs/sources.md."""
    listed = (ROOT / "docs" / "sources.md").read_text()
    for path in SOURCES:
        for citation in SOURCE_KEYS.findall(path.read_text()):
            key = " ".join(citation.split()[:2])
            assert key in listed or citation.split()[0] in listed, f"{path.name}: {citation!r} is not in docs/sources.md"


@each_source
def test_no_engine_outside_the_store(path: Path) -> None:
    """import-linter cannot name a part of an outside package, so this half of its contract stands here."""
    if path.relative_to(ROOT / "shanfu").parts[0] == "store":
        return
    assert not re.search(r"sqlalchemy\.engine|create_engine|sqlalchemy\.orm", path.read_text())
