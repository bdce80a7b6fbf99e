"""Marked secrets, and the search for them: in which forms a card number or a PIN could lie about in the clear."""

import base64
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mark:
    """A run of digits that must turn up nowhere."""

    what: str
    digits: str

    def forms(self) -> dict[str, bytes]:
        """The digits as text, packed (at either half of a byte), as hexadecimal and base64 of both at any offset."""
        text = self.digits.encode()
        even = self.digits[: len(self.digits) // 2 * 2]
        odd = self.digits[1 : 1 + (len(self.digits) - 1) // 2 * 2]
        raw = {"text": text, "packed": bytes.fromhex(even), "packed, shifted": bytes.fromhex(odd)}
        found = dict(raw)
        found["hexadecimal of text"] = text.hex().encode()
        for name, value in raw.items():
            for shift in range(3):
                found[f"base64 of {name}, offset {shift}"] = _base64_inside(value, shift)
        found |= {"utf-16": self.digits.encode("utf-16-le"), "backwards": text[::-1]}
        return found

    def seen_in(self, data: bytes) -> list[str]:
        """The forms in which it lies in these bytes; hexadecimal of either case."""
        lower = data.lower()
        return [name for name, form in self.forms().items() if form in (lower if name.startswith("hex") else data)]


def _base64_inside(value: bytes, shift: int) -> bytes:
    """The characters that base64 of anything containing `value` at this offset must have."""
    encoded = base64.b64encode(bytes(shift) + value)
    first = (0, 2, 3)[shift]  # characters that also hold bits of what comes before
    whole = (shift + len(value)) // 3 * 4  # and none that holds bits of what comes after
    return encoded[first:whole]


def clear_pin_block(pin: str, pan: str) -> bytes:
    """The PIN block before it is enciphered (ISO 9564-1 format 0)."""
    block = bytes.fromhex(f"0{len(pin):X}{pin}".ljust(16, "F"))
    account = bytes.fromhex(f"0000{pan[-13:-1]}")
    return bytes(a ^ b for a, b in zip(block, account, strict=True))


def search(folder: Path, marks: list[Mark], *, also: dict[str, bytes]) -> list[str]:
    """Say where in all files of a folder a mark lies in the clear, or one of the named byte strings."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        found += [f"{path.relative_to(folder)}: {what}" for what in seen(path.read_bytes(), marks, also=also)]
    return found


def seen(data: bytes, marks: list[Mark], *, also: dict[str, bytes]) -> list[str]:
    told = [f"{mark.what} as {form}" for mark in marks for form in mark.seen_in(data)]
    return told + [name for name, value in also.items() if value in data]
