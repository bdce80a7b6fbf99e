"""Straight code for one combination of fields, compiled once and run for every message that has it.

Why: a switch decodes and encodes every payment several times. Reading element by element costs a table look-up, a call
and two conversions per field, some 40 µs for a purchase of 18 fields. A host sees a few dozen bitmaps in its life, so
per bitmap the work can be laid out beforehand: the whole message is converted once to hex (for nibbles) and once to
Latin-1 (for characters; every byte has a place in it), after which a field is a slice. Neighbouring fixed fields form a
run whose digits are checked together. What remains at run time is the arithmetic of the variable lengths.

What is generated looks like this (terminal dialect, DE 2 3 4 11 …):

    def read(b):
        h = b.hex(); t = b.decode("latin-1")
        n = LL[b[10]]
        if n > 19: raise Irregular
        s = 11; p = s + (n + 1 >> 1); q = s + s; v2 = h[q:q + n]
        ...
        r1 = h[q:q + 24]
        if not r1.isdecimal(): raise Irregular
        return Message(m, {2: v2, 3: r1[0:6], 4: r1[6:18], ...})

A plan knows canonical messages only. At anything else, truncation and wrong digits included, it raises Irregular (or the
LookupError or ValueError that happens by itself) and the codec takes its careful way, which alone decides what is an
error. So there is one truth about faults and a test holds the two ways equal. The source is made from the dialect's
table, never from message bytes.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from shanfu.iso8583.fields import IN_NIBBLES, Encoding, Field

__all__ = ["Irregular", "compile_reader", "compile_writer"]


class Irregular(ValueError):
    """Not canonical: take the careful way."""


OVER = 10**6  # the length that a byte which is not BCD stands for: over every limit

# fmt: off
READ_TABLES = {
    ("bcd", 2): "LL[b[s]]", ("bcd", 3): "LL[b[s]] * 100 + LL[b[s + 1]]",
    ("ascii", 2): "D2[t[s:s + 2]]", ("ascii", 3): "D3[t[s:s + 3]]",
}
# fmt: on


def _gbk(text: str) -> str:
    raw = text.encode("latin-1")
    decoded = raw.decode("gbk")
    if decoded.encode("gbk") != raw:
        raise Irregular
    return decoded


NAMES: dict[str, object] = {
    "Irregular": Irregular,
    "gbk": _gbk,
    "fromhex": bytes.fromhex,
    "LL": tuple(10 * (byte >> 4) + (byte & 15) if byte >> 4 <= 9 and byte & 15 <= 9 else OVER for byte in range(256)),
    "D2": {f"{n:02d}": n for n in range(100)},
    "D3": {f"{n:03d}": n for n in range(1000)},
    "FILL": ("", "0"),
    "B2": tuple(bytes.fromhex(f"{n:02d}") for n in range(100)),
    "B3": tuple(bytes.fromhex(f"{n:04d}") for n in range(1000)),
    "A2": tuple(f"{n:02d}".encode() for n in range(100)),
    "A3": tuple(f"{n:03d}".encode() for n in range(1000)),
}


def _compile(name: str, lines: Sequence[str], **names: object) -> Callable[..., Any]:
    space = {**NAMES, **names}
    exec(compile("\n".join(lines), f"<iso8583 plan {name}>", "exec"), space)  # noqa: S102  (our own text, from a table)
    made = space[name]
    assert callable(made)
    return made


def _group(row: Field) -> object:
    """Neighbouring rows with the same key form one run."""
    if row.prefix.digits or row.encoding in (Encoding.TEXT, Encoding.BYTES, Encoding.TRACK, Encoding.TRACK_BCD):
        return row.number
    return "nibbles" if row.encoding in IN_NIBBLES else row.encoding


# -- reading -------------------------------------------------------------------------------------------------------


class _Reader:
    """Writes the lines of a reader; `base` and `offset` say where the next element begins."""

    def __init__(self, start: int) -> None:
        self.lines: list[str] = []
        self.values: list[str] = []
        self.slices: dict[str, slice] = {}  # made once: building a slice costs a third of taking it
        self.base, self.offset = "", start

    def at(self, more: int = 0) -> str:
        """Expression of a byte position."""
        return self._sum("p", self.offset + more)

    def nibble(self, more: int) -> str:
        """Expression of a position in the hex text."""
        return self._sum("p + p", 2 * self.offset + more)

    def _sum(self, base: str, offset: int) -> str:
        return str(offset) if not self.base else f"{base} + {offset}" if offset else base

    def part(self, text: str, first: int, last: int) -> str:
        """Expression of a part of `text` at a known place."""
        name = f"_{first}_{last}"
        self.slices[name] = slice(first, last)
        return f"{text}[{name}]"

    def add(self, *lines: str) -> None:
        self.lines += ["    " + line for line in lines]

    def refuse_if(self, condition: str) -> None:
        self.add(f"if {condition}: raise Irregular")

    def run(self, rows: list[Field]) -> None:
        """Fixed fields of one kind beside one another: one slice, one check."""
        nibbles = rows[0].encoding in IN_NIBBLES
        name, place, fillers = f"r{rows[0].number}", 0, []
        for row in rows:
            odd = nibbles and row.size & 1
            begin = place + (1 if odd and row.encoding is Encoding.BCD_RIGHT else 0)
            if odd:
                fillers.append(place if begin > place else place + row.size)
            self.values.append(f"{row.number}: {self.part(name, begin, begin + row.size) if len(rows) > 1 or odd else name}")
            place += row.size + (1 if odd else 0)
        if nibbles:
            self.add(f"{name} = h[{self.nibble(0)}:{self.nibble(place)}]")
        else:
            self.add(f"{name} = t[{self.at()}:{self.at(place)}]")
        text = rows[0].encoding is Encoding.ASCII
        self.refuse_if(f"not ({name}.isascii() and {name}.isprintable())" if text else f"not {name}.isdecimal()")
        for filler in fillers:
            self.refuse_if(f'{name}[{filler}] != "0"')
        self.offset += place // 2 if nibbles else place

    def alone(self, row: Field) -> None:
        """A variable field, or a fixed one of a kind that is read by itself."""
        name = f"v{row.number}"
        self.values.append(f"{row.number}: {name}")
        if row.encoding is Encoding.BYTES and not row.prefix.digits:
            self.add(f"{name} = b[{self.at()}:{self.at(row.size)}]")
            self.offset += row.size
            return
        if row.prefix.digits:
            self.add(f"s = {self.at()}", f"n = {READ_TABLES['bcd' if row.prefix.bcd else 'ascii', row.prefix.digits]}")
            self.refuse_if(f"n > {row.size}")
            self.add(f"s += {row.prefix.width}")
        else:
            self.add(f"s = {self.at()}", f"n = {row.size}")
        if row.encoding in IN_NIBBLES:
            self._digits(row, name)
        else:
            self._bytes(row, name)
        self.base, self.offset = "p", 0

    def _digits(self, row: Field, name: str) -> None:
        if row.prefix.counts_bytes:
            self.add("n += n")
        front = row.encoding is Encoding.BCD_RIGHT
        self.add("p = s + (n + 1 >> 1)", f"q = s + s{' + (n & 1)' if front else ''}", f"{name} = h[q:q + n]")
        self.refuse_if(f'n & 1 and h[{"q - 1" if front else "q + n"}] != "0"')
        if row.encoding is Encoding.TRACK_BCD:
            self.add(f'{name} = {name}.replace("d", "D", 1)')
            self.refuse_if(f'not {name}.replace("D", "0", 1).isdecimal()')
        else:
            self.refuse_if(f"not {name}.isdecimal()")

    def _bytes(self, row: Field, name: str) -> None:
        self.add("p = s + n", f"{name} = {'b' if row.encoding is Encoding.BYTES else 't'}[s:p]")
        if row.encoding is Encoding.TEXT:
            self.add(f"if not {name}.isascii(): {name} = gbk({name})")
        elif row.encoding is Encoding.TRACK:
            self.refuse_if(f'not {name}.replace("=", "0", 1).replace("D", "0", 1).isdecimal()')
        elif row.encoding is Encoding.DIGITS:
            self.refuse_if(f"not {name}.isdecimal()")
        elif row.encoding is Encoding.ASCII:
            self.refuse_if(f"not ({name}.isascii() and {name}.isprintable())")


def compile_reader(rows: Sequence[Field], *, start: int, bcd_mti: bool, message: Callable[..., Any]) -> Callable[[bytes], Any]:
    """Return `read(body) -> message(mti, fields)` for canonical messages with exactly these fields.

    `start` is where the first field begins. The function raises LookupError or ValueError for anything not canonical.
    """
    plan = _Reader(start)
    plan.add("h = b.hex()" if any(row.encoding in IN_NIBBLES for row in rows) or bcd_mti else "h = ''")
    plan.add('t = b.decode("latin-1")', f"m = {'h' if bcd_mti else 't'}[0:4]")
    plan.refuse_if("not m.isdecimal()")
    for key, group in groupby(rows, _group):
        if isinstance(key, int):
            plan.alone(next(group))
        else:
            plan.run(list(group))
    plan.refuse_if(f"len(b) != {plan.at()}")
    plan.add(f"return message(m, {{{', '.join(plan.values)}}})")
    return _compile("read", ["def read(b):", *plan.lines], message=message, **plan.slices)


# -- writing -------------------------------------------------------------------------------------------------------


class _Writer:
    """Writes the lines of a writer: conditions that make a value canonical, and the pieces to join."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.pieces: list[str] = []

    def add(self, *lines: str) -> None:
        self.lines += ["    " + line for line in lines]

    def refuse_if(self, condition: str) -> None:
        self.add(f"if {condition}: raise Irregular")

    def run(self, rows: list[Field]) -> None:
        """Fixed fields of one kind beside one another: lengths one by one, characters together."""
        self.refuse_if(" or ".join(f"len(f[{row.number}]) != {row.size}" for row in rows))
        name = f"r{rows[0].number}"
        # concatenation refuses bytes in a text field, which an f-string would print
        self.add(f"{name} = {' + '.join(self._padded(row) for row in rows)}")
        text = rows[0].encoding is Encoding.ASCII
        self.refuse_if(f"not {name}.isprintable()" if text else f"not {name}.isdecimal()")
        self.pieces.append(f"fromhex({name})" if rows[0].encoding in IN_NIBBLES else f'{name}.encode("ascii")')

    def _padded(self, row: Field) -> str:
        value = f"f[{row.number}]"
        if row.encoding not in IN_NIBBLES or not row.size & 1:
            return value
        return f'"0" + {value}' if row.encoding is Encoding.BCD_RIGHT else f'{value} + "0"'

    def alone(self, row: Field) -> None:
        """A variable field, or a fixed one of a kind that is written by itself."""
        v = f"v{row.number}"
        self.add(f"{v} = f[{row.number}]")
        count = f"len({v})"
        if row.encoding is Encoding.TEXT:
            self.add(f'{v} = {v}.encode() if {v}.isascii() else {v}.encode("gbk")')
        elif row.encoding in IN_NIBBLES:
            self._digits(row, v)
            count = "n"
        elif row.encoding is Encoding.TRACK:
            self.refuse_if(f'not {v}.replace("=", "0", 1).replace("D", "0", 1).isdecimal()')
            self.add(f'{v} = {v}.encode("ascii")')
        elif row.encoding is Encoding.DIGITS:
            self.refuse_if(f"not {v}.isdecimal()")
            self.add(f'{v} = {v}.encode("ascii")')
        elif row.encoding is Encoding.ASCII:
            self.refuse_if(f"not {v}.isprintable()")
            self.add(f'{v} = {v}.encode("ascii")')
        self.refuse_if(f"{count} {'>' if row.prefix.digits else '!='} {row.size}")
        if row.prefix.digits:
            self.add(f"l{row.number} = {'B' if row.prefix.bcd else 'A'}{row.prefix.digits}[{count}]")
            self.pieces.append(f"l{row.number}")
        self.pieces.append(v)

    def _digits(self, row: Field, v: str) -> None:
        if row.encoding is Encoding.TRACK_BCD:
            self.add(f'{v} = {v}.replace("=", "D", 1)')
            self.refuse_if(f'not {v}.replace("D", "0", 1).isdecimal()')
        else:
            self.refuse_if(f"not {v}.isdecimal()")
        self.add(f"n = len({v})")
        front = row.encoding is Encoding.BCD_RIGHT
        self.add(f"{v} = fromhex({f'FILL[n & 1] + {v}' if front else f'{v} + FILL[n & 1]'})")
        if row.prefix.counts_bytes:
            self.add(f"n = len({v})")


def compile_writer(rows: Sequence[Field], *, bitmap: bytes, bcd_mti: bool) -> Callable[[Any], bytes]:
    """Return `write(message) -> body` for messages with exactly these fields, all canonical.

    The function raises LookupError, ValueError, TypeError or AttributeError for anything else.
    """
    plan = _Writer()
    plan.add("f = o.fields", "m = o.mti")
    plan.refuse_if("len(m) != 4 or not m.isdecimal()")
    plan.pieces += ["fromhex(m)" if bcd_mti else 'm.encode("ascii")', "BITMAP"]
    for key, group in groupby(rows, _group):
        if isinstance(key, int):
            plan.alone(next(group))
        else:
            plan.run(list(group))
    plan.add(f'return b"".join(({", ".join(plan.pieces)}))')
    return _compile("write", ["def write(o):", *plan.lines], BITMAP=bitmap)
