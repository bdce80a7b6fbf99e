"""The terminal's day as its host sees it: sign-in, echo, sign-off, downloads, settlement.

A sign-in makes new working keys, sends them under the terminal's master key, and names the batch: the open one, or a new one
when the last is settled. A settlement compares the terminal's totals with the journal; equal ones close the batch. Others are
answered with the digit "not balanced" and leave it open: what is under way can still arrive, and people look after the rest.

A terminal that has not the CA keys or application parameters in force is told so in the header of the answer to its sign-in,
and of what remains in the answers that end a download; there is room for one digit, so the keys come first.

These messages carry no MAC (Q/CUP 009), so nothing here moves money.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from shanfu.acquirer.answers import bare
from shanfu.acquirer.batches import Batch, BatchState, following, totals_of
from shanfu.acquirer.books import AcquirerBooks
from shanfu.acquirer.config import AcquirerConfig, tmk_label
from shanfu.acquirer.downloads import DownloadKind, key_name
from shanfu.acquirer.reasons import Reason
from shanfu.acquirer.terminals import Terminal
from shanfu.errors import DecodeError
from shanfu.hosts import mak_label, pik_label
from shanfu.hsm import HSM, Algorithm, KeyUsage
from shanfu.iso8583 import (
    CAKeyName,
    Message,
    SettlementTotals,
    Totals,
    encode_aid,
    encode_aid_list,
    encode_ca_key,
    encode_ca_key_list,
    encode_working_keys,
    parse_aid_name,
    parse_ca_key,
    parse_ca_key_name,
    parse_query,
    use_of,
)

__all__ = ["TerminalDay"]

KEY_LAYOUT: Final = "40_PIK16_MAK16"  # what 60.3 = 003 asks for (Q/CUP 009 DE62)
CHECK_BYTES: Final = 4
UPDATE_KEYS, DOWNLOAD_PARAMETERS = 4, 5  # processing requirement, sixth digit of the header
BALANCED, NOT_BALANCED, ERROR = 1, 2, 3  # answer digits of DE48
_TELL_WHAT_REMAINS: Final = frozenset({"CA keys end", "chip parameters end", "sign-in 3DES"})
T = TypeVar("T")


class TerminalDay:
    """What the acquirer answers to a terminal about the terminal itself."""

    def __init__(self, config: AcquirerConfig, hsm: HSM) -> None:
        self._config, self._hsm = config, hsm

    def work(self, message: Message, books: AcquirerBooks) -> tuple[Message, int | None]:
        """Do what a management message or a settlement asks; return the answer, and what its header shall ask for."""
        use = use_of(message)
        serve = _SERVED.get(use.name) if use else None
        terminal, reason = self._speaker(message, books, known_kind=serve is not None)
        if reason is not None:
            return self._answer(message, books, reason.code), None
        assert use
        assert serve
        assert terminal
        reply = serve(self, message, terminal, books)
        tells = use.name in _TELL_WHAT_REMAINS and reply.text(39) == Reason.APPROVED.code
        return reply, _requirement(terminal, books) if tells else None

    def _speaker(self, message: Message, books: AcquirerBooks, *, known_kind: bool) -> tuple[Terminal | None, Reason | None]:
        """Return the terminal that speaks, or why it is not served."""
        if 41 not in message or 42 not in message or len(message.text(60, "")) < 11:
            return None, Reason.FORMAT
        books.load_terminals([message.text(41)])
        terminal = books.terminal(message.text(41))
        if terminal is None:
            return None, Reason.TERMINAL_UNKNOWN
        merchant = books.merchant(terminal.merchant)
        if merchant is None or not merchant.open:
            return None, Reason.MERCHANT_UNKNOWN
        if message.text(42) != merchant.merchant:
            return None, Reason.TERMINAL_ELSEWHERE
        return terminal, None if known_kind else Reason.UNKNOWN_KIND

    def _answer(self, message: Message, books: AcquirerBooks, code: str, rrn: str = "") -> Message:
        reply = bare(message, code, acquirer=self._config.institution, moment=books.moment)
        for number in (3, 4, 25, 49):
            reply.fields.pop(number, None)
        if 11 in message:
            reply.fields[37] = rrn or books.next_number().rrn(books.moment.day)
        else:
            reply.fields.pop(32, None)  # an echo names nobody (Q/CUP 009, 0830)
        return reply

    def _echo(self, message: Message, terminal: Terminal, books: AcquirerBooks) -> Message:
        del terminal
        return self._answer(message, books, Reason.APPROVED.code)

    def _sign_off(self, message: Message, terminal: Terminal, books: AcquirerBooks) -> Message:
        terminal.signed_in = 0
        return self._answer(message, books, Reason.APPROVED.code)

    # -- signing in ----------------------------------------------------------------------------------------------------

    def _sign_in(self, message: Message, terminal: Terminal, books: AcquirerBooks) -> Message:
        number, keys = terminal.terminal, books.keys
        keys.load([tmk_label(number), pik_label(number), mak_label(number)])
        if not keys.has(tmk_label(number)):
            return self._answer(message, books, Reason.KEYS_MISSING.code)
        tmk, sent = keys.current(tmk_label(number)), {}
        for name, usage, label in (("PIK", KeyUsage.PIK, pik_label), ("MAK", KeyUsage.MAK, mak_label)):
            key = self._hsm.generate(usage, Algorithm.TDES)
            exported = self._hsm.export_working_key(key, tmk, check_length=CHECK_BYTES)
            keys.install(label(number), key)
            sent[name] = (exported.cryptogram, exported.check)
        self._open_batch(terminal, books)
        terminal.signed_in = 1
        reply = self._answer(message, books, Reason.APPROVED.code)
        asked = message.text(60)
        reply.fields |= {60: asked[:2] + terminal.batch + asked[8:], 62: encode_working_keys(sent, KEY_LAYOUT)}
        return reply

    def _open_batch(self, terminal: Terminal, books: AcquirerBooks) -> None:
        now = books.batch(terminal, terminal.batch) if terminal.batch else None
        if now is not None and now.state == BatchState.OPEN:
            return
        terminal.batch = following(terminal.batch)
        row = Batch(terminal.bucket, terminal.terminal, terminal.batch, BatchState.OPEN.value, books.now_ms, 0, "", "", "")
        books.batches.add(row)

    # -- downloads -----------------------------------------------------------------------------------------------------

    def _list_keys(self, message: Message, terminal: Terminal, books: AcquirerBooks) -> Message:
        def listed(known: int) -> bytes:
            if known == 0 and (group := books.group(terminal.terminal_group)):
                terminal.keys_offered = group.keys_version
            contents = [row.content for row in books.downloads(terminal.terminal_group, DownloadKind.CA_KEY)[known:]]
            return encode_ca_key_list([key.name for content in contents if (key := parse_ca_key(content))])

        return self._told(message, books, read=parse_query, tell=listed)

    def _list_aids(self, message: Message, terminal: Terminal, books: AcquirerBooks) -> Message:
        def listed(known: int) -> bytes:
            if known == 0 and (group := books.group(terminal.terminal_group)):
                terminal.parameters_offered = group.parameters_version
            rows = books.downloads(terminal.terminal_group, DownloadKind.AID)[known:]
            return encode_aid_list([bytes.fromhex(row.name) for row in rows])

        return self._told(message, books, read=parse_query, tell=listed)

    def _key(self, message: Message, terminal: Terminal, books: AcquirerBooks) -> Message:
        def told(asked: CAKeyName) -> bytes:
            found = books.download(terminal.terminal_group, DownloadKind.CA_KEY, key_name(asked.rid, asked.index))
            return found.content if found else encode_ca_key(None)

        return self._told(message, books, read=parse_ca_key_name, tell=told)

    def _aid(self, message: Message, terminal: Terminal, books: AcquirerBooks) -> Message:
        def told(asked: bytes) -> bytes:
            found = books.download(terminal.terminal_group, DownloadKind.AID, asked.hex())
            return found.content if found else encode_aid(None)

        return self._told(message, books, read=parse_aid_name, tell=told)

    def _told(
        self, message: Message, books: AcquirerBooks, *, read: Callable[[bytes], T], tell: Callable[[T], bytes]
    ) -> Message:
        """Answer what DE62 asks."""
        try:
            asked = read(message.binary(62, b""))
        except DecodeError:
            return self._answer(message, books, Reason.FORMAT.code)
        reply = self._answer(message, books, Reason.APPROVED.code)
        reply.fields[62] = tell(asked)
        return reply

    def _end_keys(self, message: Message, terminal: Terminal, books: AcquirerBooks) -> Message:
        terminal.keys_held = terminal.keys_offered
        return self._answer(message, books, Reason.APPROVED.code)

    def _end_aids(self, message: Message, terminal: Terminal, books: AcquirerBooks) -> Message:
        terminal.parameters_held = terminal.parameters_offered
        return self._answer(message, books, Reason.APPROVED.code)

    # -- settling ------------------------------------------------------------------------------------------------------

    def _settle(self, message: Message, terminal: Terminal, books: AcquirerBooks) -> Message:
        number, stan = message.text(60)[2:8], message.text(11, "")
        batch = books.batch(terminal, number)
        try:
            claimed = SettlementTotals.parse(message.text(48, ""))
        except DecodeError:
            return self._answer(message, books, Reason.FORMAT.code)
        if batch is not None and batch.state == BatchState.SETTLED and batch.settled_by == stan:
            return self._settled(message, books, batch)
        if not terminal.signed_in:
            return self._answer(message, books, Reason.NOT_SIGNED_IN.code)
        if batch is None or number != terminal.batch or batch.state != BatchState.OPEN:
            return self._answer(message, books, Reason.BATCH_WRONG.code)
        books.journal.save()  # the sums are the database's
        totals, waiting = totals_of(books.tx, terminal.bucket, terminal.terminal, batch=number)
        verdict = ERROR if waiting else _verdict(claimed, totals)
        foreign = BALANCED if claimed.foreign == Totals() else NOT_BALANCED
        text = SettlementTotals(
            domestic=claimed.domestic, foreign=claimed.foreign, domestic_verdict=verdict, foreign_verdict=foreign
        )
        if verdict != BALANCED or foreign != BALANCED:
            reply = self._answer(message, books, Reason.APPROVED.code)
            reply.fields |= {15: books.moment.date[4:], 48: text.encode()}
            return reply
        batch.state, batch.closed_ms, batch.settled_by = BatchState.SETTLED.value, books.now_ms, stan
        batch.answer, batch.rrn = text.encode(), books.next_number().rrn(books.moment.day)
        terminal.signed_in = 0
        return self._settled(message, books, batch)

    def _settled(self, message: Message, books: AcquirerBooks, batch: Batch) -> Message:
        reply = self._answer(message, books, Reason.APPROVED.code, batch.rrn)
        reply.fields |= {15: books.moment.date[4:], 48: batch.answer}
        return reply


def _verdict(claimed: SettlementTotals, totals: Totals) -> int:
    return BALANCED if claimed.domestic == totals else NOT_BALANCED


def _requirement(terminal: Terminal, books: AcquirerBooks) -> int | None:
    """Return the header's digit for what the terminal shall download next; None when it has everything in force."""
    group = books.group(terminal.terminal_group)
    if group is None:
        return None
    if terminal.keys_held != group.keys_version:
        return UPDATE_KEYS
    return DOWNLOAD_PARAMETERS if terminal.parameters_held != group.parameters_version else None


_Serve = Callable[[TerminalDay, Message, Terminal, AcquirerBooks], Message]
_SERVED: Final[dict[str, _Serve]] = {
    "CA key": TerminalDay._key,
    "CA keys end": TerminalDay._end_keys,
    "CA keys list": TerminalDay._list_keys,
    "chip parameters": TerminalDay._aid,
    "chip parameters end": TerminalDay._end_aids,
    "chip parameters list": TerminalDay._list_aids,
    "echo": TerminalDay._echo,
    "settlement": TerminalDay._settle,
    "sign-in 3DES": TerminalDay._sign_in,
    "sign-off": TerminalDay._sign_off,
}
