"""Application selection in the slot: which applications card and terminal share, and which one is taken.

    PSE 1PAY.SYS.DDF01 -> its directory, record by record          a card without a usable PSE is asked AID by AID

The list comes in the card's order of priority. One application that asks for no consent is taken at once; otherwise
somebody chooses (`choose`: the labels in, a place in the list or None out).

Who calls: `contact.py`. Sources: EMV B1 12.2 to 12.4, EMV B4 11.3.
"""

from collections.abc import Callable, Sequence

from shanfu.dialogue import Dialogue
from shanfu.emv import FCI, DirectoryEntry, commands, matches, parse_directory_record
from shanfu.errors import DecodeError, LinkTimeout
from shanfu.iso7816 import ResponseAPDU, StatusWord
from shanfu.terminal.chip import Application, ask_chip
from shanfu.terminal.config import AIDParameters
from shanfu.terminal.desk import Desk
from shanfu.terminal.endings import Ending, end
from shanfu.terminal.outcome import Reason

__all__ = ["Choose", "candidate_list", "first_of", "pick"]

Choose = Callable[[Sequence[str]], int | None]

DIRECTORY_RECORDS = 16  # EMV B1 12.2.3 sets no end; no card has as many applications
OCCURRENCES = 8  # how many applications under one partial AID are asked for
CONSENT = 0x80  # EMV B1 table 48: b8 of 87, not to be selected without the cardholder's confirmation
AID_BYTES = range(5, 17)  # EMV B1 12.2.1
BLOCKED_CARD = StatusWord.FUNCTION_NOT_SUPPORTED


def first_of(labels: Sequence[str]) -> int | None:
    """Take what the card puts first: a terminal without a choice on its display (EMV B1 12.4)."""
    return 0 if labels else None


def pick(shared: list[Application], choose: Choose) -> Application | None:
    """Take the next application out of the list: the only one, or the one that somebody chose (EMV B1 12.4)."""
    if len(shared) == 1 and not shared[0].priority & CONSENT:
        return shared.pop()
    place = choose([application.label for application in shared])
    return None if place is None or not 0 <= place < len(shared) else shared.pop(place)


def candidate_list(desk: Desk) -> Dialogue[list[Application] | Ending]:
    """Find the shared applications, best first (EMV B1 12.3)."""
    try:
        answer = yield from ask_chip(desk, "SELECT PSE", commands.select_pse())
    except LinkTimeout:  # no answer to reset, or none to the first command
        return end(Reason.CHIP_SILENT)
    if answer.sw == BLOCKED_CARD:  # EMV B1 12.3.2: the card is blocked or knows no SELECT: the session ends
        return end(Reason.APPLICATION_REFUSED)
    listed = (yield from _by_directory(desk, answer)) if answer.ok else []
    found = listed or (yield from _by_aids(desk))
    if isinstance(found, Ending):
        return found
    shown = " ".join(application.aid.hex().upper() for application in found)
    desk.tell("candidate list", applications=shown)
    # EMV B1 12.4: in the order of 87 b4-b1, those without one last, equals as they came
    return sorted(found, key=lambda application: application.priority & 0xF or 16) or end(Reason.NO_APPLICATION)


def _by_directory(desk: Desk, pse: ResponseAPDU) -> Dialogue[list[Application]]:
    """Read the directory that the PSE names; whatever is wrong with it, the list of AIDs remains (EMV B1 12.3.2)."""
    found: list[Application] = []
    try:
        sfi = FCI.parse(pse.data).directory_sfi
        if sfi is None or not 1 <= sfi <= 10:  # EMV B1 12.2.2
            return []
        for number in range(1, DIRECTORY_RECORDS + 1):
            answer = yield from ask_chip(desk, "READ RECORD of the directory", commands.read_record(sfi, number))
            if answer.sw == StatusWord.RECORD_NOT_FOUND:
                return found
            if not answer.ok:
                return []
            found += _shared(desk, parse_directory_record(answer.data))
    except DecodeError as fault:
        desk.tell("the directory cannot be read", detail=str(fault))
        return []
    return found


def _shared(desk: Desk, entries: Sequence[DirectoryEntry]) -> list[Application]:
    """Those of a record that this terminal accepts."""
    pairs = ((entry, _limits(desk, entry.aid)) for entry in entries)
    return [
        Application(
            aid=entry.aid, label=_label(entry.preferred_name or entry.label), priority=entry.priority or 0, limits=limits
        )
        for entry, limits in pairs
        if limits is not None
    ]


def _by_aids(desk: Desk) -> Dialogue[list[Application] | Ending]:
    """Select each of the terminal's AIDs, under a partial one also the next occurrences (EMV B1 12.3.3)."""
    found: dict[bytes, Application] = {}
    for limits in desk.aids:
        for occurrence in range(OCCURRENCES):
            command = commands.select(limits.aid, next_occurrence=bool(occurrence))
            answer = yield from ask_chip(desk, "SELECT by list of AIDs", command)
            if answer.sw == BLOCKED_CARD and not found and not occurrence:
                return end(Reason.APPLICATION_REFUSED)
            if answer.sw not in (StatusWord.OK, StatusWord.BLOCKED_FILE):
                break
            fci = FCI.parse(answer.data) if answer.data else None
            if fci is None or fci.df_name in found or len(fci.df_name) not in AID_BYTES:
                break
            # EMV B1 12.3.3 step 5: a blocked application (6283) is passed over
            if answer.ok and matches(fci.df_name, limits.aid, partial=not limits.exact):
                label = _label(fci.preferred_name or fci.label)
                found[fci.df_name] = Application(aid=fci.df_name, label=label, priority=fci.priority or 0, limits=limits)
            if fci.df_name == limits.aid or limits.exact:
                break
    return list(found.values())


def _limits(desk: Desk, aid: bytes) -> AIDParameters | None:
    return next((limits for limits in desk.aids if matches(aid, limits.aid, partial=not limits.exact)), None)


def _label(raw: bytes) -> str:
    return raw.decode("ascii", "replace")
