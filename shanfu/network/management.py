"""Network management from the switch's side: members sign on and off, the network gives them keys.

A member speaks first when its link stands (0820/001). The network answers, then resets the keys under the member's master
key (MMK): first the MAK, whose message and answer are authenticated with the *new* key, then the PIK under the MAK. A new key
lies in the books as a reset until the member has confirmed it, and a reset that nobody answers is sent again. With the second
confirmation the member is ready: what store-and-forward kept for it goes out. A token service sees no PIN and gets no PIK.
"""

from typing import Final

from shanfu.hosts import institution, mak_label, management_answer, mmk_label, pik_label, sent_at
from shanfu.hsm import Algorithm, KeyBlock, KeyUsage
from shanfu.iso8583 import InterbankFrame, Message, NetworkCode
from shanfu.network.answers import header, key_reset
from shanfu.network.books import NetworkBooks
from shanfu.network.config import NetworkConfig
from shanfu.network.forward import stan_of
from shanfu.network.members import MemberRow, ResetRow
from shanfu.network.prove import Letter, Prover

__all__ = ["Management"]

DONE: Final = "00"
UNKNOWN: Final = "12"
FORMAT: Final = "30"
NOT_A_MEMBER: Final = "58"
NO_MASTER_KEY: Final = "A7"
_NEEDED: Final = frozenset({7, 11, 33, 70})
CHECK_BYTES: Final = 4  # of the check value behind a new key in DE48 NK


class Management:
    """What the network says and answers about its links."""

    def __init__(self, config: NetworkConfig, prover: Prover) -> None:
        self._config, self._prover = config, prover
        self._hsm = prover.hsm

    # -- links ---------------------------------------------------------------------------------------------------------

    def link_changed(self, station: str, books: NetworkBooks) -> None:
        """Note that a link broke, or that it stands anew: either way its member has to sign on."""
        books.load_stations([station])
        member = books.member(station)
        if member is not None:
            self._sign_off(member, books)

    def _sign_off(self, member: MemberRow, books: NetworkBooks) -> None:
        member.sign_off()
        reset = books.reset(member.station)
        if reset is not None:
            books.resets.remove(reset)

    # -- requests of members -------------------------------------------------------------------------------------------

    def work(self, station: str, frame: InterbankFrame, books: NetworkBooks) -> tuple[str, list[Letter]]:
        """Do what a management request asks; return the response code and what is to be sent."""
        books.load_stations([station])
        member, message = books.member(station), frame.message
        if not message.fields.keys() >= _NEEDED:
            return FORMAT, [Letter(station, management_answer(frame, FORMAT))]
        if member is None or institution(message.text(33)) != member.institution:
            return NOT_A_MEMBER, [Letter(station, management_answer(frame, NOT_A_MEMBER))]
        code = message.text(70)
        if message.mti[:3] != "082" or code not in (NetworkCode.SIGN_ON, NetworkCode.SIGN_OFF, NetworkCode.LINE_TEST):
            return UNKNOWN, [Letter(station, management_answer(frame, UNKNOWN))]
        if code == NetworkCode.SIGN_ON:
            return self._sign_on(member, frame, books)
        if code == NetworkCode.SIGN_OFF:
            self._sign_off(member, books)
        return DONE, [Letter(station, management_answer(frame, DONE))]

    def _sign_on(self, member: MemberRow, frame: InterbankFrame, books: NetworkBooks) -> tuple[str, list[Letter]]:
        if not books.keys.has(mmk_label(member.station)):
            return NO_MASTER_KEY, [Letter(member.station, management_answer(frame, NO_MASTER_KEY))]
        if not member.signed_on(books.life):
            member.ready = 0
        member.signed_on_ms, member.life = books.now_ms, books.life
        reset = self._begin_reset(member, KeyUsage.MAK, books)
        return DONE, [Letter(member.station, management_answer(frame, DONE)), reset]

    # -- key resets ----------------------------------------------------------------------------------------------------

    def _begin_reset(self, member: MemberRow, usage: KeyUsage, books: NetworkBooks) -> Letter:
        block = self._hsm.generate(usage, Algorithm.TDES)
        name = f"{sent_at(books.now_ms)}.{stan_of(books.next_forward())}"
        reset = books.reset(member.station)
        if reset is None:
            reset = books.resets.add(ResetRow(0, member.station, usage.name, block, name, 0, 0))
        else:
            reset.usage, reset.block, reset.name, reset.attempts = usage.name, block, name, 0
        return self._reset_letter(member, reset, books)

    def _reset_letter(self, member: MemberRow, reset: ResetRow, books: NetworkBooks) -> Letter:
        reset.attempts += 1
        reset.next_ms = books.now_ms + self._config.reset_retry_ms
        key = KeyBlock(reset.block)
        sent = self._hsm.export_working_key(key, books.keys.current(mmk_label(member.station)), CHECK_BYTES)
        message = key_reset(
            usage=reset.usage, sealed_key=sent.cryptogram + sent.check, name=reset.name, network=self._config.institution
        )
        under = key if reset.usage == KeyUsage.MAK.name else books.keys.current(mak_label(member.station))
        frame = InterbankFrame(header(member.institution, self._config.institution), message)
        return Letter(member.station, frame, under)

    def unanswered(self, books: NetworkBooks) -> list[Letter]:
        """Send again the resets that nobody has answered; forget those of links that are gone with an earlier process."""
        resets = books.due_resets()
        books.load_stations([reset.station for reset in resets])
        letters = []
        for reset in resets:
            member = books.member(reset.station)
            if member is None or not member.signed_on(books.life):
                books.resets.remove(reset)
            else:
                letters.append(self._reset_letter(member, reset, books))
        return letters

    def answered(self, station: str, message: Message, books: NetworkBooks) -> tuple[str, list[Letter]]:
        """Take a member's 0810; return in words what it did, and what is to be sent."""
        books.load_stations([station])
        member, reset = books.member(station), books.reset(station)
        if member is None or reset is None or reset.name != f"{message.text(7, '')}.{message.text(11, '')}":
            return "dropped 0810: it answers no key reset under way", []
        if message.text(39, "") != DONE:
            return f"key reset of the {reset.usage} was refused with {message.text(39, '')}, it is sent again", []
        new = KeyBlock(reset.block)
        is_mak = reset.usage == KeyUsage.MAK.name
        if not self._prover.right_mac(message, [new] if is_mak else books.candidates(mak_label(station))):
            return f"dropped 0810: the confirmation of the {reset.usage} is not authentic", []
        books.install(mak_label(station) if is_mak else pik_label(station), new)
        if is_mak and member.moves_pins:
            return "key reset: new MAK in force", [self._begin_reset(member, KeyUsage.PIK, books)]
        books.resets.remove(reset)
        member.ready = 1
        books.hurry(station)
        return f"key reset: new {reset.usage} in force, the member is ready", []
