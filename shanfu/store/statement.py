"""Core statements, compiled once per dialect to what the driver takes.

SQLAlchemy Core says what is asked; on the hot path only its text is run, on the driver's cursor with tuples, which costs a
tenth of a Core execution. Constants of the statement (states, limits) are written into the text, so that partial indexes
apply and plans stay good; parameters are those the statement declares with `bindparam(name)`.

Values go to the driver and come back as they are: whole numbers, text, bytes, None. Column types that SQLAlchemy would
convert have no place in books (`columns.py`).
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import BindParameter, ClauseElement, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import visitors
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler

__all__ = ["DIALECTS", "Arrange", "Params", "Statement"]

Params = tuple[Any, ...]
Arrange = Callable[[Params], Params]

DIALECTS: dict[str, Dialect] = {
    "postgresql": postgresql.psycopg.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
    "sqlite": sqlite.pysqlite.dialect(),
}


class Statement:
    """A Core statement and the names of its parameters in the order in which callers give them.

    One statement for every database, or with `per_dialect` one for each where they have no common form.
    """

    __slots__ = ("_compiled", "_core", "_names", "_per_dialect")

    def __init__(self, core: Executable, *names: str, per_dialect: dict[str, Executable] | None = None) -> None:
        self._core, self._names, self._per_dialect = core, names, per_dialect or {}
        self._compiled: dict[str, tuple[str, Arrange | None]] = {}

    def compiled(self, dialect: str) -> tuple[str, Arrange | None]:
        """Return the driver's text, and what puts a caller's tuple into the text's order (None: it is in order)."""
        ready = self._compiled.get(dialect)
        if ready is None:
            ready = self._compiled[dialect] = _compile(self._per_dialect.get(dialect, self._core), self._names, dialect)
        return ready


def _compile(core: Executable, names: Sequence[str], dialect: str) -> tuple[str, Arrange | None]:
    declared: set[str] = set()

    def written_out(element: Any, **_: Any) -> Any:
        if not isinstance(element, BindParameter) or isinstance(element.value, bytes):  # bytes have no common literal
            return None
        if not element.required:
            return element.render_literal_execute()
        declared.add(element.key)
        return bindparam(element.key, None, type_=element.type)

    ready = cast("ClauseElement", visitors.replacement_traverse(cast("ClauseElement", core), {}, written_out))
    compiled = ready.compile(dialect=DIALECTS[dialect], compile_kwargs={"render_postcompile": True})
    assert isinstance(compiled, SQLCompiler)
    if unlike := sorted(declared ^ set(names)):
        raise TypeError(f"parameters {', '.join(unlike)}: named in the statement or by its owner, but not by both")
    order = list(compiled.positiontup or ())
    constants = [name for name in dict.fromkeys(order) if name not in declared]
    places = {name: place for place, name in enumerate([*names, *constants])}
    return str(compiled), _arrange([places[name] for name in order], tuple(compiled.params[name] for name in constants))


def _arrange(places: list[int], constants: Params) -> Arrange | None:
    if places == list(range(len(places))) and not constants:
        return None
    if len(places) == 1:
        return lambda params: ((*params, *constants)[places[0]],)
    pick = itemgetter(*places)
    return lambda params: pick((*params, *constants))


def quote(dialect: str, name: str) -> str:
    """Return a table's or a column's name as the dialect writes it."""
    return DIALECTS[dialect].identifier_preparer.quote(name)
