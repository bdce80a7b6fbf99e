"""Kernel 7: what a terminal makes of a UnionPay card's answers in the contactless flow.

The kernel has no voice of its own: `contactless.py` speaks to the card and hands each answer in. Three APDUs decide an
online payment, since the cryptogram comes back in the answer to GET PROCESSING OPTIONS:

    SELECT  -> pdol_of           a PDOL with 9F66, or another interface
    GPO     -> read_gpo          status word table, mandatory data, route, cryptogram type
    CTQ     -> choose_cvm        how the cardholder is verified

9F27 does not come in that answer: it is synthesised from the CVR for field 55, where the TVR is all zero. A TC goes on in
`offline.py`; full PBOC over contactless ends with a reason of its own. Bad data never raises here.

Sources: JR/T 0025.12 6.5–7.8, EMV B3 6.5.8; rows marked unverified rest on one public kernel.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shanfu.emv import AIP, CTQ, CVM, DOL, FCI, TTQ, CryptogramType, IssuerApplicationData, Track2, parse_gpo_response
from shanfu.errors import DecodeError, Fault
from shanfu.iso7816 import ResponseAPDU, StatusWord
from shanfu.terminal.cvm import choose_cvm
from shanfu.terminal.endings import Ending, bad_card, end
from shanfu.terminal.outcome import Outcome, Reason, UIMessage

__all__ = ["GPO_STATUS", "CardAnswer", "Route", "fdda_failed", "pdol_of", "read_gpo", "route_after_gpo"]

MANDATORY = (0x82, 0x9F36, 0x57, 0x9F10, 0x9F26)  # JR/T 0025.12 6.5: of a qPBOC answer
FOR_OFFLINE = (0x94,)  # JR/T 0025.12 6.5: with a TC, where the records are
LENGTHS = {0x82: 2, 0x9F36: 2, 0x9F26: 8, 0x9F6C: 2, 0x5F34: 1, 0x9F63: 16}  # EMV B3 A1, JR/T 0025.12


class Route(StrEnum):
    """Where the answer to GPO leads."""

    AAC_DECLINE = "AAC_DECLINE"
    ARQC_ONLINE = "ARQC_ONLINE"
    CONTACTLESS_PBOC_FULL = "CONTACTLESS_PBOC_FULL"
    TC_OFFLINE = "TC_OFFLINE"
    TERMINATE = "TERMINATE"


def _end(outcome: Outcome, reason: Reason, ui: UIMessage, detail: str = "") -> Ending:
    return Ending(outcome=outcome, reason=reason, ui=ui, detail=detail)


# fmt: off
GPO_STATUS: Mapping[int, Ending] = {  # JR/T 0025.12 6.5.3; any other word but 9000 ends as 6985 does
    0x6984: _end(Outcome.TRY_ANOTHER_INTERFACE, Reason.APPLICATION_REFUSED, UIMessage.OTHER_INTERFACE),
    0x6985: _end(Outcome.END_APPLICATION,       Reason.APPLICATION_REFUSED, UIMessage.TRY_ANOTHER_CARD),  # others reselect
    0x6986: _end(Outcome.TRY_AGAIN,             Reason.SEE_PHONE,           UIMessage.SEE_PHONE),  # unverified
}

ENDINGS: Mapping[Route, Ending] = {
    Route.AAC_DECLINE:           _end(Outcome.DECLINED,        Reason.CARD_DECLINED,    UIMessage.DECLINED),
    Route.CONTACTLESS_PBOC_FULL: _end(Outcome.END_APPLICATION, Reason.FULL_PBOC,        UIMessage.INSERT_CARD),
    Route.TERMINATE:             _end(Outcome.END_APPLICATION, Reason.NO_CRYPTOGRAM,    UIMessage.TRY_ANOTHER_CARD),
}
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAnswer:
    """An ARQC or (`offline`) a TC, and everything that goes to the host with it; `tags` are the card's values."""

    track2: Track2
    tags: Mapping[int, bytes] = field(repr=False)
    cvm: CVM
    offline: bool = False

    @property
    def psn(self) -> str:
        """The card sequence number as DE23 carries it; 000 when the card has none."""
        value = self.tags.get(0x5F34, b"").hex()
        return value.rjust(3, "0") if value.isdigit() else "000"

    @property
    def atc(self) -> str:
        """The ATC in hex."""
        return self.tags[0x9F36].hex().upper()

    @property
    def cryptogram(self) -> str:
        """The cryptogram in hex."""
        return self.tags[0x9F26].hex().upper()


def pdol_of(answer: ResponseAPDU) -> DOL | Ending:
    """Return the PDOL of a selected application; without 9F66 in it the card cannot do qPBOC (JR/T 0025.12 6.4)."""
    try:
        pdol = FCI.parse(answer.data).pdol
    except DecodeError as fault:
        return bad_card(fault)
    if pdol is None or 0x9F66 not in pdol:
        return Ending(
            outcome=Outcome.TRY_ANOTHER_INTERFACE, reason=Reason.NO_APPLICATION, ui=UIMessage.OTHER_INTERFACE, detail="PDOL"
        )
    return pdol


def read_gpo(answer: ResponseAPDU, ttq: TTQ) -> CardAnswer | Ending:
    """Judge the answer to GPO: an ARQC with all it needs, or the ending with its reason. Never raises."""
    if not answer.ok:
        return GPO_STATUS.get(answer.sw, GPO_STATUS[StatusWord.CONDITIONS_NOT_SATISFIED])
    try:
        tags = parse_gpo_response(answer.data)
        aip = AIP.parse(tags.get(0x82, b""))
        route = route_after_gpo(ttq, aip, iad=tags.get(0x9F10, b""), has_cryptogram=0x9F26 in tags)
        if route in ENDINGS:
            return ENDINGS[route]
        return _answer(tags, ttq, offline=route is Route.TC_OFFLINE)
    except DecodeError as fault:
        return bad_card(fault)


def route_after_gpo(ttq: TTQ, aip: AIP, *, iad: bytes, has_cryptogram: bool) -> Route:
    """Say where the answer leads, by TTQ, AIP and the cryptogram's type in byte 5 of 9F10 (JR/T 0025.12 6.5.4)."""
    full = TTQ.FULL_PBOC in ttq
    if full and (TTQ.QPBOC not in ttq or AIP.FULL_PBOC in aip):
        return Route.CONTACTLESS_PBOC_FULL
    if not has_cryptogram:
        return Route.CONTACTLESS_PBOC_FULL if full else Route.TERMINATE
    kind = CryptogramType.of_cvr(IssuerApplicationData.parse(iad).cvr)
    return _ROUTES[kind]


_ROUTES = {
    CryptogramType.AAC: Route.AAC_DECLINE,
    CryptogramType.ARQC: Route.ARQC_ONLINE,
    CryptogramType.TC: Route.TC_OFFLINE,
}


def _answer(tags: dict[int, bytes], ttq: TTQ, *, offline: bool) -> CardAnswer | Ending:
    if offline and TTQ.ONLINE_CRYPTOGRAM_REQUIRED in ttq:  # more than the terminal asked for
        return Ending(outcome=Outcome.END_APPLICATION, reason=Reason.OFFLINE_APPROVAL, ui=UIMessage.INSERT_CARD)
    missing = [tag for tag in MANDATORY + (FOR_OFFLINE if offline else ()) if not tags.get(tag)]
    if missing:
        return end(Reason.MISSING_DATA, detail=" ".join(f"{tag:X}" for tag in missing))
    for tag, length in LENGTHS.items():
        if tag in tags and len(tags[tag]) != length:
            what = f"{len(tags[tag])} bytes, must be {length}"
            raise DecodeError(what, fault=Fault.LENGTH, path=f"{tag:X}", spec="EMV B3 A1")
    track2 = Track2.parse(tags[0x57])
    if 0x5A in tags and tags[0x5A].hex().rstrip("f") != track2.pan.digits:
        raise DecodeError("differs from the PAN in 57", path="5A", spec="EMV B3 7.5")
    ctq = CTQ.parse(tags[0x9F6C]) if 0x9F6C in tags else None
    method = choose_cvm(ttq & ~TTQ.ONLINE_PIN if offline else ttq, ctq)  # JR/T 0025.12 7.6: no online PIN offline
    if method is None:
        return Ending(outcome=Outcome.DECLINED, reason=Reason.CVM_NOT_POSSIBLE)
    kind = CryptogramType.TC if offline else CryptogramType.ARQC
    return CardAnswer(track2=track2, tags={**tags, 0x9F27: kind.cid}, cvm=method, offline=offline)


def fdda_failed(ctq: CTQ | None, *, online_capable: bool, contact_interface: bool) -> Outcome:
    """Say what follows when the card's dynamic signature is wrong (JR/T 0025.12 7.5)."""
    if ctq is not None and CTQ.ONLINE_IF_ODA_FAILS in ctq and online_capable:
        return Outcome.ONLINE_REQUEST
    if ctq is not None and CTQ.OTHER_INTERFACE_IF_ODA_FAILS in ctq and contact_interface:
        return Outcome.TRY_ANOTHER_INTERFACE
    return Outcome.DECLINED
