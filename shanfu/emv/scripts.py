"""Issuer scripts: what the issuer has the card do (templates 71 and 72), and how the terminal tells that it was done (DF31).

A script of template 71 runs before the second GENERATE AC, one of 72 after it. Its commands (86) travel ready-made, with the
issuer's MAC; the terminal only carries them, in order, and stops at the first that the card refuses.

Called by issuers (HSM), terminals, acquirers who carry the result on, and tests.
Sources: EMV Book 3 10.10 and Annex E, EMV Book 4 A5, UnionPay POS DE55 (DF31).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from shanfu.errors import DecodeError, Fault
from shanfu.iso7816 import parse, tlv

__all__ = ["AFTER", "BEFORE", "IssuerScript", "ScriptOutcome", "ScriptResult", "parse_script_results"]

BEFORE: Final = 0x71  # run before the second GENERATE AC
AFTER: Final = 0x72
MAX_BYTES: Final = 128  # EMV B3 10.10: what a terminal must be able to take, all scripts of an answer together
COMMAND_BYTES: Final = range(4, 262)  # EMV B3 A1, tag 86
IDENTIFIER_BYTES: Final = 4  # EMV B3 A1, tag 9F18
RESULT_BYTES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerScript:
    """One script: `template` is BEFORE or AFTER, `commands` whole command APDUs, `identifier` 4 bytes or nothing (9F18)."""

    template: int
    commands: tuple[bytes, ...]
    identifier: bytes = b""

    @classmethod
    def parse(cls, template: int, value: bytes) -> "IssuerScript":
        """Read the value of tag 71 or 72; raise DecodeError if the TLV or a command's length is wrong (EMV B3 10.10).

        >>> script = IssuerScript.parse(BEFORE, bytes.fromhex("9F180400000001860984240000049E31C6D3"))
        >>> script.identifier.hex(), [command.hex() for command in script.commands]
        ('00000001', ['84240000049e31c6d3'])
        """
        path, identifier, commands = f"{template:02X}", b"", []
        for node in parse(value):
            wrong = False
            if node.tag == 0x9F18:
                identifier, wrong = node.value, len(node.value) != IDENTIFIER_BYTES
            elif node.tag == 0x86:
                commands.append(node.value)
                wrong = len(node.value) not in COMMAND_BYTES
            if wrong:
                what = f"{len(node.value)} bytes"
                raise DecodeError(what, fault=Fault.LENGTH, path=f"{path}/{node.tag_hex}", offset=node.offset, spec="EMV B3 A1")
        if not commands:
            raise DecodeError("holds no command", fault=Fault.MISSING, path=f"{path}/86", spec="EMV B3 10.10")
        return cls(template=template, commands=tuple(commands), identifier=identifier)

    @property
    def value(self) -> bytes:
        """The value of the tag `template`, as field 55 carries it."""
        head = bytes(tlv(0x9F18, self.identifier)) if self.identifier else b""
        return head + b"".join(bytes(tlv(0x86, command)) for command in self.commands)

    def __bytes__(self) -> bytes:
        return bytes(tlv(self.template, self.value))


class ScriptOutcome(IntEnum):
    """How a script ended: the first digit of its result (EMV B4 A5)."""

    NOT_PERFORMED = 0
    FAILED = 1
    DONE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptResult:
    """Five bytes of DF31. `failed_at` counts commands from 1, 15 stands for 15 and more, 0 for not told (EMV B4 A5)."""

    outcome: ScriptOutcome
    failed_at: int = 0
    identifier: bytes = bytes(IDENTIFIER_BYTES)

    @classmethod
    def parse(cls, raw: bytes) -> "ScriptResult":
        """Read five bytes; raise DecodeError on another length or an outcome that EMV does not know.

        >>> ScriptResult.parse(bytes.fromhex("1200000001")).failed_at
        2
        """
        if len(raw) != RESULT_BYTES:
            raise DecodeError(f"{len(raw)} bytes, must be 5", fault=Fault.LENGTH, path="DF31", spec="EMV B4 A5")
        if raw[0] >> 4 > ScriptOutcome.DONE:
            raise DecodeError(f"outcome {raw[0] >> 4}", fault=Fault.UNKNOWN, path="DF31", spec="EMV B4 A5")
        return cls(outcome=ScriptOutcome(raw[0] >> 4), failed_at=raw[0] & 0xF, identifier=raw[1:])

    def __bytes__(self) -> bytes:
        identifier = self.identifier.rjust(IDENTIFIER_BYTES, b"\0")
        return bytes((self.outcome << 4 | min(self.failed_at, 15),)) + identifier


def parse_script_results(value: bytes) -> tuple[ScriptResult, ...]:
    """Read DF31, five bytes a script; raise DecodeError if it is cut (UnionPay POS DE55)."""
    return tuple(ScriptResult.parse(value[at : at + RESULT_BYTES]) for at in range(0, len(value), RESULT_BYTES))
