"""What every party on the interbank wire does with a message: name it, date it, answer it, send it back.

A transaction's name is DE7, DE11, DE32 and DE33, unchanged from acquirer to issuer; DE90 holds that of an original, with
institutions padded to eleven digits (ISO 8583:1987 DE90). Sources: the wires page; Q/CUP 006.
"""

from datetime import date
from functools import lru_cache
from typing import Final

from shanfu.clock import local
from shanfu.iso8583 import InterbankFrame, Message, decode_interbank, encode_interbank, response_mti
from shanfu.links import Inbound, Outbound

__all__ = [
    "business_date", "institution", "management_answer", "name_of", "opened", "original_data", "original_name", "rejected",
    "sent_at", "written",
]  # fmt: skip

_IDENTITY: Final = frozenset({7, 11, 32, 33})
_MANAGEMENT_ECHO: Final = (7, 11, 33, 53, 70)
HEADER_END: Final = 50  # length and header
REJECT_UNREADABLE: Final = b"00030"  # reject codes are opaque to receivers; this one reminds of DE39 30
MINUTE_MS: Final = 60_000


def institution(digits: str) -> str:
    """Return an institution identifier as it is written in names: eight digits, whatever zeros pad it.

    >>> institution("00099010000"), institution("00000010000")
    ('99010000', '00010000')
    """
    return digits if len(digits) == 8 else digits.lstrip("0").zfill(8)


def name_of(message: Message) -> str:
    """Return the interbank name `DE7.DE11.DE32.DE33`, or "" when a part is missing."""
    if not message.fields.keys() >= _IDENTITY:
        return ""
    text = message.text
    return f"{text(7)}.{text(11)}.{institution(text(32))}.{institution(text(33))}"


def original_name(digits: str) -> str:
    """Return the name that DE90 holds, or "" when it holds none.

    >>> original_name("0200" "000017" "1122150405" "00099012900" "00099012900")
    '1122150405.000017.99012900.99012900'
    """
    if len(digits) != 42:
        return ""
    return f"{digits[10:20]}.{digits[4:10]}.{institution(digits[20:31])}.{institution(digits[31:])}"


def original_data(mti: str, name: str) -> str:
    """Return DE90 that names the transaction of this name, whose first message was of this type.

    >>> original_data("0200", "1122150405.000017.99012900.99012900")
    '020000001711221504050009901290000099012900'
    """
    sent, stan, acquirer, forwarder = name.split(".")
    return f"{mti}{stan}{sent}{acquirer:0>11}{forwarder:0>11}"


def sent_at(now_ms: int) -> str:
    """Return DE7, MMDDhhmmss, China Standard Time."""
    return f"{local(now_ms):%m%d%H%M%S}"


@lru_cache(maxsize=64)
def _dated(month_day: str, now_ms: int) -> str:
    today, near = local(now_ms).date(), list[date]()
    for year in (today.year - 1, today.year, today.year + 1):
        try:
            near.append(date(year, int(month_day[:2]), int(month_day[2:])))
        except ValueError:
            continue  # 29 February, or no date at all
    found = min(near, key=lambda day: abs((day - today).days), default=None)
    return found.strftime("%Y%m%d") if found else ""


def business_date(month_day: str, now_ms: int) -> str:
    """Return DE15 (MMDD) as YYYYMMDD, of the year in which it lies nearest to now; "" when it is no date.

    >>> business_date("1231", 1_767_225_600_000), business_date("0101", 1_767_225_600_000)
    ('20251231', '20260101')
    """
    return _dated(month_day, now_ms - now_ms % MINUTE_MS)  # the day changes with a minute, the cache is asked each time


def management_answer(request: InterbankFrame, code: str) -> InterbankFrame:
    """Return the answer to a network management message; what was odd in it is echoed as odd."""
    message = request.message
    return request.answer(Message(response_mti(message.mti), message.copy(*_MANAGEMENT_ECHO) | {39: code}, kept=message.kept))


def opened(inbound: Inbound) -> InterbankFrame:
    """Return the interbank frame that came; DecodeError when it is none. A neighbour in this process gives it open."""
    said = inbound.said
    return said if isinstance(said, InterbankFrame) else decode_interbank(inbound.frame)


def written(passage: Inbound | Outbound) -> bytes:
    """Return the bytes of a frame, for those who watch; of what a neighbour gives open, those that a wire would carry."""
    said = passage.said
    return encode_interbank(said) if isinstance(said, InterbankFrame) else passage.frame


def rejected(frame: bytes) -> bytes | None:
    """Return an undecodable frame as it came, with the header's reject code set; None when its header is not one.

    Q/CUP 006 header: a rejected message goes back as received and counts as a failed request.
    """
    if len(frame) < HEADER_END or frame[4] != 46 or frame[45:HEADER_END] != b"00000":
        return None
    return frame[:45] + REJECT_UNREADABLE + frame[HEADER_END:]
