"""DE62 of a sign-in answer: the working keys that the acquirer sends to its terminal, each with a check value.

Keys are encrypted under the terminal master key. The total length tells the layout, except where providers differ: the
check value of the MAC key may stand behind its 16 or behind its 8 bytes, and SM4 check values have 4 or, in one source,
8 bytes. Those two facts are settings with a default, columns of `KEY_LAYOUTS`. This module only cuts; decryption and
the comparison of check values are the security module's.

The acquirer writes this, the terminal reads it. Source: public terminal implementations (docs/sources.md).
"""

from dataclasses import dataclass

from shanfu.errors import DecodeError, Fault, ProtocolError

__all__ = ["KEY_LAYOUTS", "KeyLayout", "WorkingKey", "encode_working_keys", "parse_working_keys"]


@dataclass(frozen=True, slots=True)
class KeyLayout:
    """`keys`: name and bytes reserved for it; a MAC key of `mak_size` bytes has zeros behind it up to its place."""

    keys: tuple[tuple[str, int], ...]
    check_len: int = 4
    mak_size: int = 0  # 0: the whole place
    mak_check_at: int = 0  # offset of the MAC key's check value where a provider departs; 0: behind its place


# fmt: off
_PIK16_MAK16 = (("PIK", 16), ("MAK", 16))
KEY_LAYOUTS: dict[str, KeyLayout] = {
    #                                     keys                                         check_len  mak_size  mak_check_at
    "24_PIK8_MAK8":         KeyLayout((("PIK", 8), ("MAK", 8)),                        4),
    "40_PIK16_MAK16":       KeyLayout(_PIK16_MAK16,                                    4),
    "40_PIK16_MAK8Z":       KeyLayout(_PIK16_MAK16,                                    4,         8),
    "40_PIK16_MAK8Z_AT_28": KeyLayout(_PIK16_MAK16,                                    4,         8,        28),  # a province
    "48_SM4":               KeyLayout(_PIK16_MAK16,                                    8),                        # one source
    "56_PIK24_MAK24":       KeyLayout((("PIK", 24), ("MAK", 24)),                      4),
    "60_PIK16_MAK16_TDK16": KeyLayout((*_PIK16_MAK16, ("TDK", 16)),                    4),
    "60_PIK16_MAK8Z_TDK16": KeyLayout((*_PIK16_MAK16, ("TDK", 16)),                    4,         8),
    "84_PIK24_MAK24_TDK24": KeyLayout((("PIK", 24), ("MAK", 24), ("TDK", 24)),         4),
}
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingKey:
    """One key as it stands in the field: encrypted, with the check value of the clear key. The repr shows neither."""

    name: str
    offset: int
    encrypted: bytes
    check: bytes

    def __repr__(self) -> str:
        return f"WorkingKey({self.name}, {len(self.encrypted)} bytes)"


def _places(layout: KeyLayout) -> list[tuple[str, int, int, int]]:
    """Name, offset of the key, bytes of its place, offset of its check value."""
    places, at = [], 0
    for name, size in layout.keys:
        check_at = layout.mak_check_at if name == "MAK" and layout.mak_check_at else at + size
        places.append((name, at, size, check_at))
        at += size + layout.check_len
    return places


def _total(layout: KeyLayout) -> int:
    return sum(size + layout.check_len for _, size in layout.keys)


def parse_working_keys(raw: bytes, layout: str) -> list[WorkingKey]:
    """Cut DE62 into its keys; DecodeError (length) when it has not the length of `layout`.

    A short MAC key is returned without its filling.

    >>> keys = parse_working_keys(bytes.fromhex("67CF0D40C57BB07DA2AFCD72EA9E89A4CE9C3DC78B00C606"), "24_PIK8_MAK8")
    >>> [(key.name, key.offset, key.check.hex().upper()) for key in keys]
    [('PIK', 0, 'A2AFCD72'), ('MAK', 12, '8B00C606')]
    """
    rows = KEY_LAYOUTS[layout]
    if len(raw) != _total(rows):
        raise DecodeError(f"{len(raw)} bytes, layout {layout} has {_total(rows)}", fault=Fault.LENGTH, path="DE62")
    return [
        WorkingKey(
            name=name,
            offset=at,
            encrypted=raw[at : at + (rows.mak_size if name == "MAK" and rows.mak_size else size)],
            check=raw[check_at : check_at + rows.check_len],
        )
        for name, at, size, check_at in _places(rows)
    ]


def encode_working_keys(keys: dict[str, tuple[bytes, bytes]], layout: str) -> bytes:
    """Write DE62 from `{name: (encrypted key, check value)}`; ProtocolError when a key does not fit the layout."""
    rows = KEY_LAYOUTS[layout]
    field = bytearray(_total(rows))
    for name, at, size, check_at in _places(rows):
        encrypted, check = keys[name]
        wanted = rows.mak_size if name == "MAK" and rows.mak_size else size
        if len(encrypted) != wanted or len(check) < rows.check_len:
            raise ProtocolError(f"DE62/{name}: {len(encrypted)} and {len(check)} bytes, {wanted} and {rows.check_len}", by="us")
        field[at : at + wanted] = encrypted
        field[check_at : check_at + rows.check_len] = check[: rows.check_len]
    return bytes(field)
