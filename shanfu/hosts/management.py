"""Network management from the member's side: signing on, key resets, line tests, the cut-off.

The member speaks first when its link stands (0820/001) and asks again while nobody answers. The network then resets the keys
under the member's master key: first the MAK, whose message and answer are authenticated with the *new* key, then the PIK
under the MAK. Old keys stay good for the switch-over window. 202 with DE15 says that a business date is closed.
"""

from typing import Final, Generic, TypeVar

from shanfu.errors import DecodeError, IntegrityError
from shanfu.hosts.config import MemberConfig
from shanfu.hosts.keys import LOOKUP, SEAL
from shanfu.hosts.links import LinkRow, LinkState, MemberBooks
from shanfu.hosts.macs import interbank_trial, right_macs, seal_interbank
from shanfu.hosts.wire import business_date, management_answer, sent_at
from shanfu.hsm import HSM, Algorithm, KeyBlock, KeyUsage, WorkingKey
from shanfu.iso8583 import InterbankFrame, InterbankHeader, Message, NetworkCode, UsageField, encode_interbank, is_request

__all__ = ["MemberManagement"]

ALGORITHMS: Final = {"4": Algorithm.SM4, "6": Algorithm.TDES}  # DE53 second digit; single DES is refused
USAGES: Final = {"1": KeyUsage.PIK, "2": KeyUsage.MAK}  # DE53 first digit
KEY_BYTES: Final = 16
FORMAT, MAC_WRONG, DONE, SECURITY, UNKNOWN = "30", "A0", "00", "A7", "12"
B = TypeVar("B", bound=MemberBooks)


class MemberManagement(Generic[B]):
    """What a member says and answers about the link itself."""

    def __init__(self, config: MemberConfig, hsm: HSM) -> None:
        self._network, self._institution, self._retry_ms = config.network, config.institution, config.sign_on_retry_ms
        self._mmk, self._mak, self._pik, self._hsm = config.mmk, config.mak, config.pik, hsm

    # -- signing on ----------------------------------------------------------------------------------------------------

    def link_up(self, books: B) -> InterbankFrame:
        """Ask to sign on, now that the link stands."""
        return self._ask(books, books.link(self._network))

    def link_down(self, books: B) -> None:
        """Remember that nobody is there to ask."""
        books.link(self._network).state = LinkState.DOWN.value

    def unanswered(self, books: B) -> list[InterbankFrame]:
        """Ask again where nobody has answered in time."""
        return [self._ask(books, link) for link in books.unanswered()]

    def signed_on(self, link: LinkRow, books: B) -> None:
        """Note that the network has us signed on."""
        del books
        link.state = LinkState.SIGNED_ON.value

    def _ask(self, books: B, link: LinkRow) -> InterbankFrame:
        sent, stan = sent_at(books.now_ms), f"{books.now_ms % 999_999 + 1:06d}"  # 000001 to 999999 (ISO 8583:1987 DE11)
        link.state, link.name = LinkState.ASKED.value, f"{sent}.{stan}"
        link.deadline_ms = books.now_ms + self._retry_ms
        header = InterbankHeader(destination=self._network, source=self._institution)
        return InterbankFrame(
            header, Message("0820", {7: sent, 11: stan, 33: self._institution, 70: NetworkCode.SIGN_ON.value})
        )

    # -- what the network says -----------------------------------------------------------------------------------------

    def heard(self, frame: InterbankFrame, books: B) -> tuple[str, bytes | None]:
        """Take a message of class 08; return in words what came of it ("": the expected), and the frame to send."""
        message = frame.message
        if is_request(message.mti):
            code, reply = self._work(frame, books)
            return f"network management {message.text(70, '')}: answered {code}", reply
        if message.mti == "0830" and self._answered(message, books):
            return "", None
        return f"dropped {message.mti}: it answers nothing we have asked", None

    def _answered(self, message: Message, books: B) -> bool:
        """Take the answer to our sign-on; False when it answers nothing that we have asked."""
        link, text = books.link(self._network), message.text
        if link.state != LinkState.ASKED or link.name != f"{text(7, '')}.{text(11, '')}":
            return False
        if text(39, "") == DONE:
            self.signed_on(link, books)
        return True

    def _work(self, frame: InterbankFrame, books: B) -> tuple[str, bytes]:
        message, code = frame.message, frame.message.text(70, "")
        if message.mti.startswith("080"):
            return self._key_reset(frame, books) if code == NetworkCode.KEY_RESET else _plain(frame, UNKNOWN)
        if code == NetworkCode.CUT_OFF_END:
            day = business_date(message.text(15, ""), books.now_ms)
            if day:
                books.close_day(day)
            return _plain(frame, DONE if day else FORMAT)
        if code == NetworkCode.SIGN_OFF:
            self.link_down(books)
        elif code == NetworkCode.SIGN_ON:
            self.signed_on(books.link(self._network), books)
        known = code in (NetworkCode.CUT_OFF_START, NetworkCode.LINE_TEST, NetworkCode.SIGN_OFF, NetworkCode.SIGN_ON)
        return _plain(frame, DONE if known else UNKNOWN)

    # -- keys ----------------------------------------------------------------------------------------------------------

    def _key_reset(self, frame: InterbankFrame, books: B) -> tuple[str, bytes]:
        """Take a new key, and answer under the MAK that is then in force."""
        books.keys.load([self._mmk, self._mak, self._pik, LOOKUP, SEAL])
        code = self._new_key(frame.message, books)
        key = books.keys.current(self._mak) if books.keys.has(self._mak) else None
        return code, seal_interbank(self._hsm, [(management_answer(frame, code), key)])[0]

    def _new_key(self, message: Message, books: B) -> str:
        """Take a new key: checked against its own MAC where it is a MAK, else against the MAK's (Q/CUP 006 0800)."""
        control, received = message.text(53, ""), _received(message)
        usage, algorithm = USAGES.get(control[:1]), ALGORITHMS.get(control[1:2])
        if usage is None or received is None or algorithm is None:
            return FORMAT
        try:
            key = self._hsm.import_working_key(received, books.keys.current(self._mmk), usage, algorithm)
        except IntegrityError:
            return SECURITY
        under = [key] if usage is KeyUsage.MAK else books.keys.candidates(self._mak)
        if not right_macs(self._hsm, [interbank_trial(message, under)])[0]:
            return MAC_WRONG
        label = self._mak if usage is KeyUsage.MAK else self._pik
        if not self._in_force(label, key, books):
            books.keys.install(label, key)
        return DONE

    def _in_force(self, label: str, key: KeyBlock, books: B) -> bool:
        """Whether this very key is the newest: a reset sent again must not push the old key out of its window."""
        values = self._hsm.check_value
        return books.keys.has(label) and values(books.keys.current(label), 8) == values(key, 8)


def _plain(frame: InterbankFrame, code: str) -> tuple[str, bytes]:
    return code, encode_interbank(management_answer(frame, code))


def _received(message: Message) -> WorkingKey | None:
    """DE48 NK: sixteen bytes of key under the master key, then a check value if the network sends one."""
    try:
        value = UsageField.parse(message.binary(48)).get("NK")
    except DecodeError:
        return None
    if value is None or len(value) < KEY_BYTES:
        return None
    return WorkingKey(cryptogram=value[:KEY_BYTES], check=value[KEY_BYTES:])
