"""A slot for cards: the contact flow by hand, and an issuer who holds the master keys and answers as one would."""

from dataclasses import dataclass, field

from shanfu.card import Card, CardProfile
from shanfu.crypto import (
    PIN,
    Cipher,
    IssuerCryptograms,
    SessionKey,
    encipher_script_data,
    pin_change_block,
    pin_change_key_part,
    script_mac_input,
    session_key_pboc,
)
from shanfu.emv import (
    DOL,
    FCI,
    CryptogramType,
    IssuerApplicationData,
    commands,
    cryptogram_input,
    parse_afl,
    parse_cryptogram_response,
    parse_dol,
    parse_gpo_response,
    parse_record,
    records,
)
from shanfu.iso7816 import CommandAPDU, ResponseAPDU
from tests.card.bench import MASTERS, ask, keys_for

SAID = {
    0x9F02: "000000001234", 0x9F03: "000000000000", 0x9F1A: "0156", 0x95: "0000000000", 0x5F2A: "0156", 0x9A: "261122",
    0x9F21: "120000", 0x9C: "00", 0x9F37: "A0A1A2A3", 0x9F7A: "00", 0xDF69: "00", 0x8A: "3030",
}  # fmt: skip
AAC, TC, ARQC = CryptogramType.AAC, CryptogramType.TC, CryptogramType.ARQC


@dataclass
class Slot:
    """One insertion: what terminal and card have told each other."""

    card: Card
    profile: CardProfile
    said: dict[int, bytes]
    shown: dict[int, bytes] = field(default_factory=dict)  # what the records and answers said, by tag
    sent: bytes = b""
    marked: list[tuple[int, bytes]] = field(default_factory=list)

    def ask(self, command: CommandAPDU | str) -> ResponseAPDU:
        return ask(self.card, command)

    def generate(self, kind: CryptogramType, *, cda: bool = False, **said: str) -> ResponseAPDU:
        """Ask for a cryptogram over the right CDOL, `said` overriding the terminal's values."""
        self.said |= {int(tag[1:], 16): bytes.fromhex(text) for tag, text in said.items()}
        first = 0x9F26 not in self.shown
        filled = parse_dol(self.shown[0x8C if first else 0x8D]).fill(self.said)
        answer = self.ask(commands.generate_ac(kind, filled, cda=cda))
        if answer.ok:
            self.sent += filled
            self.shown |= {0x9F26: b""} | parse_cryptogram_response(answer.data)
        return answer

    @property
    def iad(self) -> IssuerApplicationData:
        return IssuerApplicationData.parse(self.shown[0x9F10])

    @property
    def kind(self) -> str:
        return CryptogramType.of_cid(self.shown[0x9F27][0]).name


def insert(card: Card, profile: CardProfile, **said: str) -> Slot:
    """Select, open a transaction and read what the file locator names."""
    values = {tag: bytes.fromhex(text) for tag, text in SAID.items()}
    slot = Slot(card, profile, values | {int(tag[1:], 16): bytes.fromhex(text) for tag, text in said.items()})
    fci = FCI.parse(slot.ask(commands.select(profile.aid)).data)
    filled = (fci.pdol or DOL()).fill(slot.said)
    answer = slot.ask(commands.get_processing_options(filled))
    assert answer.ok, answer
    slot.sent, slot.shown = filled, dict(parse_gpo_response(answer.data))
    for sfi, number, marked in records(parse_afl(slot.shown[0x94])):
        record = slot.ask(commands.read_record(sfi, number))
        assert record.ok, (sfi, number, record)
        slot.shown |= {node.tag: node.value for node in parse_record(record.data)}
        slot.marked += [(sfi, record.data)] if marked else []
    return slot


class Bank:
    """The issuer's half of a contact transaction, from its master keys."""

    def __init__(self, slot: Slot) -> None:
        self.slot, self.algorithm = slot, slot.profile.algorithm
        self.atc = int.from_bytes(slot.shown[0x9F36])
        self.issuer = IssuerCryptograms(self.algorithm)
        imk = Cipher(self.algorithm.cipher, MASTERS.ac)
        self.key = self.issuer.session_key(imk, pan=slot.profile.pan.digits, psn=slot.profile.psn, atc=self.atc)
        self.arqc = slot.shown[0x9F26]

    def verify(self) -> None:
        """Raise unless the last cryptogram is the card's over what the terminal said."""
        data = cryptogram_input(self.slot.iad.cvn, {**self.slot.said, **self.slot.shown})
        self.issuer.verify(self.key, data=data, cryptogram=self.slot.shown[0x9F26])

    def proof(self, arc: bytes = b"00") -> bytes:
        return self.issuer.arpc(self.key, cryptogram=self.arqc, arc=arc) + arc

    def answers(self, arc: bytes = b"00") -> ResponseAPDU:
        return self.slot.ask(commands.external_authenticate(self.proof(arc)))

    def _session(self, udk: bytes) -> bytes:
        return session_key_pboc(Cipher(self.algorithm.cipher, udk), self.atc)

    def mac(self, command: CommandAPDU) -> bytes:
        """Return the MAC for a command given without one."""
        header = bytes((command.cla, command.ins, command.p1, command.p2, len(command.data) + 4))
        covered = script_mac_input(header, atc=self.atc, cryptogram=self.arqc, data=command.data)
        return SessionKey(self.algorithm, self._session(keys_for(self.slot.profile).mac)).script_mac(covered)

    def order(self, command: CommandAPDU) -> CommandAPDU:
        """Put the MAC behind a command built without."""
        data = command.data + self.mac(command)
        return CommandAPDU(cla=command.cla, ins=command.ins, p1=command.p1, p2=command.p2, data=data)

    def new_pin(self, digits: str) -> CommandAPDU:
        keys = keys_for(self.slot.profile)
        block = pin_change_block(PIN(digits), pin_change_key_part(keys.ac, keys.enc))
        enciphered = encipher_script_data(Cipher(self.algorithm.cipher, self._session(keys.enc)), block)
        return self.order(commands.change_pin(enciphered, b""))
