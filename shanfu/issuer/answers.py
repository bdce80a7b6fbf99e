"""The issuer's answers: the request's own fields, the verdict, and what the card and the terminal need of it.

A repeat gets the stored values again, so an answer is always built from the journal row where there is one. Requests that
leave no row (wrong MAC, a name repeated with other contents) get the bare verdict.
"""

from typing import Final

from shanfu.hosts import State
from shanfu.iso8583 import InterbankFrame, Message, response_mti
from shanfu.issuer.journal import JournalRow
from shanfu.issuer.reasons import Reason

__all__ = ["answer", "chip_answer", "is_maced"]

_ECHO: Final = (2, 3, 4, 7, 11, 12, 13, 15, 25, 32, 33, 37, 41, 42, 49, 60, 100)  # Q/CUP 006, 0210 0230 0430
_AUTHENTICATION: Final = 12  # bytes of 91 in `chip_answer`; scripts come behind it (UnionPay POS DE55)
_MACED: Final = frozenset({"01", "02", "04"})


def is_maced(mti: str) -> bool:
    """Whether messages of this type carry DE128: financial ones, reversals, script results."""
    return mti[:2] in _MACED or mti[:3] == "062"


def answer(
    request: InterbankFrame, reason: Reason, row: JournalRow | None = None, *, told: bytes = b"", script: bytes = b""
) -> InterbankFrame:
    """Return the answer to a transaction; with `row`, what the journal keeps of it goes along; `told` is DE63 of a token's.

    An approval carries DE38, an inquiry DE54, and whoever's cryptogram was right gets DE55 (Q/CUP 006), with the `script` that
    its card is to run. The journal keeps no script: a repeat goes without, and an order without result is sent again.
    """
    message = request.message
    fields = message.copy(*_ECHO)
    fields[39] = reason.code
    if told:
        fields[63] = told
    if row is not None:
        fields[15] = row.business_date[4:]
        if row.chip:
            fields[55] = row.chip[:_AUTHENTICATION] + script + row.chip[_AUTHENTICATION:]
        if row.state == State.APPROVED and reason is Reason.APPROVED and row.auth_code:
            fields[38] = row.auth_code
            if row.balances:
                fields[54] = row.balances
    return request.answer(Message(response_mti(message.mti), fields, kept=message.kept))  # what was odd is echoed as odd


def chip_answer(arpc: bytes, code: str, atc: int) -> bytes:
    """Return DE55 of an answer: 91 (ARPC, ARC) and 9F36, as FIELD55_TAGS orders them (JR/T 0025.5, UnionPay POS DE55).

    >>> chip_answer(bytes.fromhex("21415243527CE78F"), "01", 0x0240).hex()
    '910a21415243527ce78f30319f36020240'
    """
    return b"\x91\x0a" + arpc + code.encode("ascii") + b"\x9f\x36\x02" + atc.to_bytes(2)
