"""Cards for the slot: the real one, with a real chain of certificates, and one that bends what the real one says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache

from shanfu.card import Card, CardKeys, CardProfile, Interface, debit_2_0, personalise, static_data
from shanfu.crypto import (
    Cipher,
    IssuerCryptograms,
    RSAPrivateKey,
    SessionKey,
    SM2PrivateKey,
    script_mac_input,
    session_key_pboc,
)
from shanfu.emv import AFTER, BEFORE, IssuerScript, decode_field55
from shanfu.iso7816 import CommandAPDU, tlv
from shanfu.iso8583 import PosFrame
from shanfu.oda import CAKey, chain_records, icc_key_groupings, make_icc_certificate, make_issuer_certificate
from shanfu.pan import PAN
from shanfu.store import DictMemory
from tests.terminal.shop import IMK, PAN_DIGITS, Acquirer, Play

RID = bytes.fromhex("A000000333")
DEBIT = debit_2_0(PAN(PAN_DIGITS))
USED = replace(DEBIT, lower_limit=5, upper_limit=9, total_limit_minor=100_000, last_online_atc=1)  # has been online before
UNTIL = date(2030, 12, 31)
PEOPLE = ("authority", "issuer", "icc")


@cache
def key(who: str, bits: int = 1152) -> RSAPrivateKey:
    return RSAPrivateKey.generate(bits)


@cache
def sm2_key(who: str) -> SM2PrivateKey:
    return SM2PrivateKey.generate()


def authority(index: int = 0xF1, expires: date = UNTIL, *, test: bool = False, sm2: bool = False) -> CAKey:
    made = sm2_key("authority").public if sm2 else key("authority").public
    return CAKey(rid=RID, index=index, key=made, expires=expires, test=test)


def chain(profile: CardProfile = USED, *, bits: int = 1024, sm2: bool = False) -> dict[int, bytes]:
    """The card's own key and its certificates, as data groupings."""
    return _chain(static_data(profile), bits, sm2)


@cache
def _chain(static: bytes, bits: int, sm2: bool) -> dict[int, bytes]:
    ca, issuer, icc = (sm2_key(who) for who in PEOPLE) if sm2 else (key("authority"), key("issuer"), key("icc", bits))
    tags = make_issuer_certificate(
        issuer.public, authority(sm2=sm2), issuer_id=PAN_DIGITS[:6], expires=UNTIL, serial=b"\0\0\1", sign=ca.sign
    )
    tags |= make_icc_certificate(
        icc.public, issuer.public, pan=PAN(PAN_DIGITS), expires=UNTIL, serial=b"\0\0\2", static=static, sign=issuer.sign
    )
    tags |= {0x9F49: bytes.fromhex("9F3704"), 0x9F4A: b"\x82"}
    return {**chain_records(tags), **icc_key_groupings(icc)}


def genuine(profile: CardProfile = USED, *, sm2: bool = False, **changes: object) -> CardProfile:
    """A card that can prove itself."""
    return replace(profile, **{"oda": chain(profile, sm2=sm2), **changes})  # type: ignore[arg-type]


def made(profile: CardProfile) -> Card:
    memory = DictMemory()
    personalise(profile, CardKeys.derive(IMK, profile.algorithm, pan=profile.pan, psn=profile.psn), memory)
    return Card(memory)


Bend = Callable[[bytes], bytes]


@dataclass
class Bent:
    """A card whose answers are bent: by the command's name (INS, or INS and P1 P2 in hex), each time it comes."""

    inside: Card
    bends: Mapping[str, Bend]
    heard: list[str] = field(default_factory=list)

    def power_on(self, interface: Interface) -> bytes:
        return self.inside.power_on(interface)

    def power_off(self) -> None:
        self.inside.power_off()

    def answer(self, command: bytes) -> bytes:
        self.heard.append(command.hex().upper())
        reply = self.inside.answer(command)
        for name in (f"{command[1]:02X}", command[1:4].hex().upper()):
            reply = self.bends[name](reply) if name in self.bends else reply
        return reply


def swapped(old: str, new: str) -> Bend:
    """Replace bytes, which must be there."""

    def bend(reply: bytes) -> bytes:
        assert bytes.fromhex(old) in reply, old
        return reply.replace(bytes.fromhex(old), bytes.fromhex(new))

    return bend


def says(answer: str) -> Bend:
    return lambda reply: bytes.fromhex(answer)


def issues(
    code: str = "00", *, before: tuple[CommandAPDU, ...] = (), after: tuple[CommandAPDU, ...] = (), proof: int = 0, mac: int = 0
) -> Play:
    """The issuer's answer behind the acquirer: 91 with the ARPC, scripts with their MACs; `proof` and `mac` spoil them."""

    def play(host: Acquirer, request: PosFrame) -> bytes:
        message = request.message
        tags, issuer = decode_field55(message.binary(55)), IssuerCryptograms(DEBIT.algorithm)
        atc, arqc, arc = int.from_bytes(tags[0x9F36]), tags[0x9F26], code.encode()
        imk = Cipher(DEBIT.algorithm.cipher, IMK.ac)
        session = issuer.session_key(imk, pan=message.text(2), psn=message.text(23)[1:], atc=atc)
        arpc = _spoilt(issuer.arpc(session, cryptogram=arqc, arc=arc), proof)
        udk = CardKeys.derive(IMK, DEBIT.algorithm, pan=PAN(message.text(2)), psn=message.text(23)[1:]).mac
        macs = SessionKey(DEBIT.algorithm, session_key_pboc(Cipher(DEBIT.algorithm.cipher, udk), atc))

        def order(command: CommandAPDU) -> bytes:
            header = bytes((command.cla, command.ins, command.p1, command.p2, len(command.data) + 4))
            covered = script_mac_input(header, atc=atc, cryptogram=arqc, data=command.data)
            return header + command.data + _spoilt(macs.script_mac(covered), mac)

        de55 = bytes(tlv(0x91, arpc + arc))
        for template, commands in ((BEFORE, before), (AFTER, after)):
            if commands:
                script = IssuerScript(template=template, commands=tuple(map(order, commands)), identifier=b"\0\0\0\x07")
                de55 += bytes(script)
        if code == "00":
            host.booked[f"{message.text(60)[2:8]}.{message.text(11)}"] = message
        return host.reply(request, code, de55=de55)

    return play


def _spoilt(value: bytes, by: int) -> bytes:
    return value[:-1] + bytes(((value[-1] + by) % 256,))
