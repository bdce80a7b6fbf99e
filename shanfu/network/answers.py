"""Building what the network sends: answers to acquirers, requests and advices to issuers, reversals of its own, management.

An answer is built from two things: the fields that identify the transaction, echoed from whichever message of it is at hand
(the request, its repeat, what was kept of it, or the issuer's answer), and the verdict, from the journal row. So a repeat
gets the same field values again. DE15 and DE100 are always the network's own (Q/CUP 006).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from shanfu.hosts import original_data, sent_at
from shanfu.iso8583 import (
    INTERBANK,
    InterbankHeader,
    Message,
    NetworkCode,
    Outcome,
    ProcessingCode,
    UsageField,
    Value,
    encode_outcomes,
    encode_par,
    is_advice,
    response_mti,
)
from shanfu.network.accounts import Account
from shanfu.network.forward import ForwardRow, stan_of
from shanfu.network.journal import JournalRow

__all__ = [
    "about_account", "advice_answer", "answer", "carried", "cut_off_news", "header", "kept", "key_reset", "outcomes_of",
    "request_for_issuer", "request_for_tsp", "restored", "reversal_of", "verdict",
]  # fmt: skip

Fields = dict[int, Value]

# fmt: off
_ECHO: Final = (2, 3, 4, 7, 11, 12, 13, 25, 32, 33, 37, 41, 42, 49, 60)                            # Q/CUP 006 0210 0230 0430
_TO_ISSUER: Final = (2, 3, 4, 7, 11, 12, 13, 14, 18, 22, 23, 25, 26, 32, 33, 35, 37, 38, 39, 41,
                     42, 43, 49, 53, 55, 60, 90)                                                # Q/CUP 006 0200 0220 0420
_TO_TSP: Final = _TO_ISSUER                                                                        # all but the PIN
_KEPT: Final = (2, 3, 4, 7, 11, 12, 13, 18, 22, 23, 25, 32, 33, 37, 38, 41, 42, 43, 49, 60)        # what a reversal needs
_KEPT_FOR_ISSUER: Final = tuple(number for number in (*_TO_ISSUER, 52) if number != 35)
_ADVICE: Final = tuple(sorted({*_KEPT, 39, 90}))                                       # no track, no PIN, no chip data
_CHIP_ADVICE: Final = tuple(sorted({*_ADVICE, 14, 55}))        # a TC to be verified, what became of scripts (Q/CUP 006 DE55)
# fmt: on
RESET_MAK, RESET_PIK = "2600000000000000", "1600000000000000"  # DE53: which key, double-length 3DES (Q/CUP 006 DE53)


# -- to acquirers ------------------------------------------------------------------------------------------------------


def verdict(source: Message, code: str, *, day: str, issuer: str = "") -> Message:
    """Return a bare answer to the transaction that `source` is a message of; `source` is a request or its repeat."""
    fields: Fields = source.copy(*_ECHO)
    fields[15], fields[39] = day[4:], code
    if issuer:
        fields[100] = issuer
    return _like(source, response_mti(source.mti), fields)


def answer(source: Message, row: JournalRow, *, token: str = "") -> Message:
    """Return the answer that the journal row says; `source` is any message of the transaction.

    Where `source` names the card behind a token, `token` takes its place: no acquirer sees the PAN.
    """
    fields: Fields = source.copy(*_ECHO)
    if token:
        fields[2] = token
    fields[15], fields[39] = row.business_date[4:], row.response_code
    if row.issuer:
        fields[100] = row.issuer
    if row.chip:
        fields[55] = row.chip
    if row.auth_code:
        fields[38] = row.auth_code
    if row.balances:
        fields[54] = row.balances
    if row.par and not is_advice(row.mti):  # a refund is answered before anybody knows it
        fields[56] = encode_par(row.par)
    return _like(source, response_mti(row.mti), fields)


def advice_answer(source: Message, item: ForwardRow, *, issuer: str) -> Message:
    """Return the answer to a reversal that was accepted, the same for each repeat."""
    return verdict(source, item.response_code, day=item.business_date, issuer=issuer)


# -- to issuers and token services -------------------------------------------------------------------------------------


def request_for_tsp(request: Message, *, day: str, issuer: str) -> Message:
    """Return the request as the token service gets it: as it came, the settlement date, no PIN."""
    fields: Fields = request.copy(*_TO_TSP)
    fields[15], fields[100] = day[4:], issuer
    return _like(request, f"{request.mti[:3]}0", fields)


def request_for_issuer(
    request: Message, *, day: str, issuer: str, pin: bytes | None, account: Account | None = None
) -> Message:
    """Return the request as the issuer gets it: what belongs there, the settlement date, a PIN only if translated.

    A token's names the card behind it, with the token's data and the service's verdict beside.
    """
    fields: Fields = request.copy(*_TO_ISSUER)
    if account is not None:
        fields = account.in_place_of_token(fields) | {61: account.verdict()}
    fields[15], fields[100] = day[4:], issuer
    if pin is not None:
        fields[52] = pin
    return _like(request, f"{request.mti[:3]}0", fields)


def about_account(message: Message, account: Account, *, issuer: str) -> Message:
    """Return a reversal or refund of a token payment as the card's issuer gets it."""
    return _like(message, message.mti, account.in_place_of_token(message.fields) | {100: issuer})


def outcomes_of(rows: Sequence[JournalRow], *, network: str, seq: int, now_ms: int) -> Message:
    """Return the advice that tells the token service how these token payments ended; it names no token."""
    ends = [Outcome(original_data(row.mti, row.name), row.response_code, row.auth_code) for row in rows]
    return Message("0620", {7: sent_at(now_ms), 11: stan_of(seq), 32: network, 33: network, 59: encode_outcomes(ends)})


def carried(advice: Message, *, day: str, issuer: str) -> Message:
    """Return what was accepted by commit as it is stored and forwarded; a refund has no use for chip data."""
    is_refund = advice.mti[:3] == "022" and advice.text(3) == ProcessingCode.REFUND
    fields: Fields = advice.copy(*(_ADVICE if is_refund else _CHIP_ADVICE))
    fields[15], fields[100] = day[4:], issuer
    return _like(advice, f"{advice.mti[:3]}0", fields)


def reversal_of(request: Message, row: JournalRow, *, network: str, why: str, seq: int, now_ms: int) -> Message:
    """Return the network's own reversal of a request that it has kept; `why` is a ReversalReason."""
    fields: Fields = request.copy(*_KEPT)
    fields[90] = original_data(row.mti, row.name)
    fields[7], fields[11], fields[33] = sent_at(now_ms), stan_of(seq), network
    fields[15], fields[39], fields[100] = row.business_date[4:], why, row.issuer
    return _like(request, "0420", fields)


def kept(message: Message, *, for_issuer: bool = False) -> bytes:
    """Return what is kept of a request while its issuer is asked, to be sealed: no track, no PIN, no chip data.

    While the token service is asked, all that the issuer will need is kept: PIN block and chip data, but no track.
    """
    return INTERBANK.encode(_like(message, message.mti, message.copy(*(_KEPT_FOR_ISSUER if for_issuer else _KEPT))))


def restored(plain: bytes, *, repeat: bool = False) -> Message:
    """Return a kept message; as a `repeat` its MTI says so (0421, 0221, 0621)."""
    message = INTERBANK.decode(plain)
    if repeat and message.mti in ("0220", "0420", "0620"):
        message.mti = f"{message.mti[:3]}1"
    return message


def _like(source: Message, mti: str, fields: Fields) -> Message:
    """Return a message whose odd but readable fields (too long, not GBK) go on exactly as they came."""
    return Message(mti, fields, (), source.kept)


# -- network management ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)  # one for each member, asked for with every message
def header(destination: str, source: str) -> InterbankHeader:
    """Return the header of a message from us."""
    return InterbankHeader(destination=destination, source=source)


def key_reset(*, usage: str, sealed_key: bytes, name: str, network: str) -> Message:
    """Return the 0800 that brings a new key under the member's master key (DE48 NK); `name` is its DE7 and DE11."""
    sent, _, stan = name.partition(".")
    nk = UsageField(items=(("NK", sealed_key),)).encode()
    control = RESET_MAK if usage == "MAK" else RESET_PIK
    return Message("0800", {7: sent, 11: stan, 33: network, 48: nk, 53: control, 70: NetworkCode.KEY_RESET.value})


def cut_off_news(code: NetworkCode, *, day: str, network: str, seq: int, now_ms: int) -> Message:
    """Return the 0820 that tells a member of the cut-off; its end (202) names the closed day."""
    fields: Fields = {7: sent_at(now_ms), 11: stan_of(seq), 33: network, 70: code.value}
    if code is NetworkCode.CUT_OFF_END:
        fields[15] = day[4:]
    return Message("0820", fields)
