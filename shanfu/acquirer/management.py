"""Network management from the member's side: signing on, key resets, line tests, the cut-off.

The member speaks first when its link stands (0820/001) and asks again while nobody answers. The network then resets the keys
under the member's master key: first the MAK, whose message and answer are authenticated with the *new* key, then the PIK
under the MAK. Old keys stay good for the switch-over window. 202 with DE15 says that a business date is closed. Once the
sign-on is answered, everything in store-and-forward is due at once.
"""

from typing import Final

from shanfu.acquirer.books import AcquirerBooks
from shanfu.acquirer.config import AcquirerConfig
from shanfu.acquirer.forward import QUEUED
from shanfu.acquirer.links import BY_DAY, BY_STATION, UNANSWERED, ClosedDay, LinkRow, LinkState
from shanfu.acquirer.numbers import business_date
from shanfu.acquirer.prove import Prover, algorithm_named, verify_macs
from shanfu.errors import DecodeError, IntegrityError
from shanfu.hsm import HSM, Algorithm, KeyBlock, KeyUsage, WorkingKey
from shanfu.iso8583 import (
    InterbankFrame,
    InterbankHeader,
    Message,
    NetworkCode,
    UsageField,
    encode_interbank,
    mac_algorithm,
    prepare_interbank,
    response_mti,
)

__all__ = ["Management"]

ALGORITHMS: Final = {"4": Algorithm.SM4, "6": Algorithm.TDES}  # DE53 second digit; single DES is refused
KEY_BYTES: Final = 16
_ECHO: Final = (7, 11, 33, 53, 70)
FORMAT, MAC_WRONG, DONE, SECURITY, UNKNOWN = "30", "A0", "00", "A7", "12"


class Management:
    """What the acquirer says and answers about the link itself."""

    def __init__(self, config: AcquirerConfig, prover: Prover) -> None:
        self._config, self._prover = config, prover
        self._hsm: HSM = prover.hsm

    # -- signing on ----------------------------------------------------------------------------------------------------

    def link_up(self, books: AcquirerBooks) -> InterbankFrame:
        """Ask to sign on, now that the link stands."""
        return self._ask(books, self._link(books))

    def link_down(self, books: AcquirerBooks) -> None:
        """Remember that nobody is there to ask."""
        self._link(books).state = LinkState.DOWN.value

    def unanswered(self, books: AcquirerBooks) -> list[InterbankFrame]:
        """Ask again where nobody has answered in time."""
        return [self._ask(books, link) for link in books.links.select(UNANSWERED, (books.now_ms,))]

    def _link(self, books: AcquirerBooks) -> LinkRow:
        key = (0, self._config.network)
        books.links.load(BY_STATION, [key])
        return books.links.find(BY_STATION, key) or books.links.add(LinkRow(*key, LinkState.DOWN.value, "", 0))

    def _ask(self, books: AcquirerBooks, link: LinkRow) -> InterbankFrame:
        sent, stan = books.moment.sent, books.next_number().stan()
        link.state, link.name = LinkState.ASKED.value, f"{sent}.{stan}"
        link.deadline_ms = books.now_ms + self._config.sign_on_retry_ms
        fields = {7: sent, 11: stan, 33: self._config.institution, 70: NetworkCode.SIGN_ON.value}
        header = InterbankHeader(destination=self._config.network, source=self._config.institution)
        return InterbankFrame(header, Message("0820", {**fields}))

    # -- what the network says -----------------------------------------------------------------------------------------

    def answered(self, frame: InterbankFrame, books: AcquirerBooks) -> bool:
        """Take the answer to our sign-on; False when it answers nothing that we have asked."""
        link, text = self._link(books), frame.message.text
        if link.state != LinkState.ASKED or link.name != f"{text(7, '')}.{text(11, '')}":
            return False
        if text(39, "") == DONE:
            self._signed_on(link, books)
        return True

    def network_up(self, books: AcquirerBooks) -> bool:
        """Whether requests can leave: signed on, and both working keys are here."""
        signed_on = self._link(books).state == LinkState.SIGNED_ON
        return signed_on and books.keys.has(self._config.mak) and books.keys.has(self._config.pik)

    def _signed_on(self, link: LinkRow, books: AcquirerBooks) -> None:
        link.state = LinkState.SIGNED_ON.value
        for item in books.forwards.select(QUEUED):
            item.deadline_ms = min(item.deadline_ms, books.now_ms)

    def work(self, frame: InterbankFrame, books: AcquirerBooks) -> tuple[str, bytes]:
        """Do what a management request asks; return the response code and the frame to send."""
        code = frame.message.text(70, "")
        if frame.message.mti.startswith("080"):
            return self._key_reset(frame, books) if code == NetworkCode.KEY_RESET else self._plain(frame, UNKNOWN)
        if code == NetworkCode.CUT_OFF_END:
            return self._plain(frame, self._close_day(frame.message, books))
        if code == NetworkCode.SIGN_OFF:
            self._link(books).state = LinkState.DOWN.value
        elif code == NetworkCode.SIGN_ON:
            self._signed_on(self._link(books), books)
        known = code in (NetworkCode.CUT_OFF_START, NetworkCode.LINE_TEST, NetworkCode.SIGN_OFF, NetworkCode.SIGN_ON)
        return self._plain(frame, DONE if known else UNKNOWN)

    def _plain(self, frame: InterbankFrame, code: str) -> tuple[str, bytes]:
        return code, encode_interbank(_answer(frame, code))

    def _close_day(self, message: Message, books: AcquirerBooks) -> str:
        day = business_date(message.text(15, ""), books.now_ms)
        if not day:
            return FORMAT
        books.days.load(BY_DAY, [(0, day)])
        if books.days.find(BY_DAY, (0, day)) is None:
            books.days.add(ClosedDay(0, day, books.now_ms))
        return DONE

    # -- keys ----------------------------------------------------------------------------------------------------------

    def _key_reset(self, frame: InterbankFrame, books: AcquirerBooks) -> tuple[str, bytes]:
        """Take a new key: checked against its own MAC where it is a MAK, else against the MAK's (Q/CUP 006 0800)."""
        self._prover.load_keys(books, set())
        message = frame.message
        usage = {"1": KeyUsage.PIK, "2": KeyUsage.MAK}.get(message.text(53, "")[:1])
        received = _received(message)
        algorithm = ALGORITHMS.get(message.text(53, "")[1:2])
        if usage is None or received is None or algorithm is None:
            return self._sealed(frame, FORMAT, books)
        try:
            key = self._hsm.import_working_key(received, books.keys.current(self._config.mmk), usage, algorithm)
        except IntegrityError:
            return self._sealed(frame, SECURITY, books)
        under = [key] if usage is KeyUsage.MAK else books.keys.candidates(self._config.mak)
        if not verify_macs(self._hsm, [message], under)[0]:
            return self._sealed(frame, MAC_WRONG, books)
        books.keys.install(self._config.mak if usage is KeyUsage.MAK else self._config.pik, key)
        return self._sealed(frame, DONE, books)

    def _sealed(self, frame: InterbankFrame, code: str, books: AcquirerBooks) -> tuple[str, bytes]:
        reply = _answer(frame, code)
        if not books.keys.has(self._config.mak):
            return code, encode_interbank(reply)
        key: KeyBlock = books.keys.current(self._config.mak)
        algorithm = algorithm_named(mac_algorithm(reply.message))
        return code, self._prover.seal([(prepare_interbank(reply), key, algorithm)])[0]


def _answer(request: InterbankFrame, code: str) -> InterbankFrame:
    message = request.message
    return request.answer(Message(response_mti(message.mti), message.copy(*_ECHO) | {39: code}))


def _received(message: Message) -> WorkingKey | None:
    """DE48 NK: sixteen bytes of key under the master key, then a check value if the network sends one."""
    try:
        value = UsageField.parse(message.binary(48)).get("NK")
    except DecodeError:
        return None
    if value is None or len(value) < KEY_BYTES:
        return None
    return WorkingKey(cryptogram=value[:KEY_BYTES], check=value[KEY_BYTES:])
