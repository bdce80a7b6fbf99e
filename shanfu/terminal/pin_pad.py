"""The PIN pad: the sealed device that holds the terminal's keys and the only place where a PIN is ever typed in clear.

It answers typed commands; the payment dialogue sees PIN blocks and MACs, never a PIN or a key.

    LoadKeys   the working keys of a sign-in answer (DE62) -> KeysLoaded, or Refused when a check value differs
    EnterPIN   asks the cardholder                         -> PINEntered (block under the PIK), or PINCancelled
    EnterOfflinePIN  the same for the card in the slot     -> OfflinePINEntered (a VERIFY's data), or PINCancelled
    MakeMAC    MACs a request                              -> MACMade
    CheckMAC   checks an answer                            -> MACChecked

The terminal master key is injected at installation. The working keys are kept as they came, enciphered under it, in the
pad's own memory; clear keys live in this object only. `layout` names the form of DE62 that the acquirer uses.

Sources: ISO 9564-1 8.1 and 9.3.2 (PIN, format 0), UnionPay POS sign-in (DE62) and ECB MAC.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from shanfu.crypto import (
    PIN,
    Algorithm,
    Cipher,
    PinFormat,
    Place,
    RSAPublicKey,
    SM2PublicKey,
    ecb_mac,
    encipher_pin,
    verify_kcv,
    verify_mac,
)
from shanfu.dialogue import Memory
from shanfu.emv import pin_data
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from shanfu.iso8583 import WorkingKey, parse_working_keys

__all__ = [
    "CheckMAC", "EnterOfflinePIN", "EnterPIN", "KeysLoaded", "LoadKeys", "MACChecked", "MACMade", "MakeMAC",
    "OfflinePINEntered", "PINCancelled", "PINEntered", "PinPad", "Refused",
]  # fmt: skip

RECORD = "working-keys"
MIN_PIN_DATA = 17  # EMV B2 7.1: header, block, challenge
PIN_ENTRIES = 3  # how often a PIN of the wrong length may be typed before the entry counts as cancelled


@dataclass(frozen=True, slots=True)
class LoadKeys:
    """Take the working keys of a sign-in answer; `de62` as received, enciphered under the TMK."""

    de62: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterPIN:
    """Ask the cardholder; `prompt` is what the display says, `pan` the digits for the block."""

    prompt: str
    pan: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterOfflinePIN:
    """Ask the cardholder for a PIN that the card verifies: enciphered under `key` with the card's challenge, plain without."""

    prompt: str
    key: RSAPublicKey | SM2PublicKey | None = None
    challenge: bytes = b""


@dataclass(frozen=True, slots=True)
class MakeMAC:
    """Make DE64 for these bytes."""

    mab: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckMAC:
    """Check the 8 bytes of DE64 of an answer."""

    mab: bytes = field(repr=False)
    mac: bytes


@dataclass(frozen=True, slots=True)
class KeysLoaded:
    """The working keys are in use now."""


@dataclass(frozen=True, slots=True)
class PINEntered:
    """The PIN block under the PIK, ISO 9564-1 format 0."""

    block: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OfflinePINEntered:
    """The data of a VERIFY command: in a sealed device they go to the slot and nowhere else."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PINCancelled:
    """The cardholder pressed cancel, or typed no PIN of 4 to 12 digits."""


@dataclass(frozen=True, slots=True)
class MACMade:
    """The 8 bytes of DE64."""

    mac: bytes


@dataclass(frozen=True, slots=True)
class MACChecked:
    """Whether the MAC is right."""

    right: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The pad cannot do it: no keys, or keys whose check value differs."""

    why: str


Command = LoadKeys | EnterPIN | EnterOfflinePIN | MakeMAC | CheckMAC
Reply = KeysLoaded | PINEntered | OfflinePINEntered | PINCancelled | MACMade | MACChecked | Refused


@dataclass(frozen=True, slots=True)
class _Keys:
    pik: Cipher
    mak: Cipher


class PinPad:
    """A PIN pad with its master key, its own memory and its keypad (which returns what was typed, or None for cancel)."""

    def __init__(
        self,
        tmk: bytes,
        memory: Memory,
        keypad: Callable[[str], str | None],
        *,
        layout: str = "40_PIK16_MAK16",
    ) -> None:
        self._tmk, self._memory, self._keypad, self._layout = Cipher(Algorithm.TDES, tmk), memory, keypad, layout
        kept = memory.read(RECORD)
        self._keys = self._open(kept) if kept else None

    def __repr__(self) -> str:
        return f"PinPad({'with' if self._keys else 'without'} working keys)"

    def answer(self, command: Command) -> Reply:
        """Carry out one command; what cannot be done is `Refused`, never an exception."""
        if isinstance(command, LoadKeys):
            return self._load(command.de62)
        if isinstance(command, EnterOfflinePIN):
            return self._enter_offline(command)
        if self._keys is None:
            return Refused("no working keys: sign in first")
        match command:
            case EnterPIN():
                return self._enter(command, self._keys)
            case MakeMAC(mab):
                return MACMade(ecb_mac(self._keys.mak, mab))
            case CheckMAC(mab, mac):
                return MACChecked(_is_right(self._keys.mak, mab, mac))

    def _load(self, de62: bytes) -> Reply:
        try:
            keys = self._open(de62)
        except (DecodeError, IntegrityError, KeyUseError) as fault:
            return Refused(f"working keys: {fault}")
        self._memory.write({RECORD: de62})  # durable before they are used, so a power cut leaves the pad signed in
        self._keys = keys
        return KeysLoaded()

    def _open(self, de62: bytes) -> _Keys:
        received = {key.name: key for key in parse_working_keys(de62, self._layout)}
        return _Keys(self._working_key(received["PIK"]), self._working_key(received["MAK"]))

    def _working_key(self, received: WorkingKey) -> Cipher:
        key = Cipher(Algorithm.TDES, self._tmk.decrypt(received.encrypted))
        verify_kcv(key, received.check, place=Place.SIGN_IN)
        return key

    def _enter(self, command: EnterPIN, keys: _Keys) -> Reply:
        pin = self._typed(command.prompt)
        return PINEntered(encipher_pin(keys.pik, PinFormat.ISO0, pin, pan=command.pan)) if pin else PINCancelled()

    def _enter_offline(self, command: EnterOfflinePIN) -> Reply:
        pin = self._typed(command.prompt)
        if pin is None:
            return PINCancelled()
        block = offline_block(pin)
        if command.key is None:
            return OfflinePINEntered(block)
        try:
            return OfflinePINEntered(_enciphered(command.key, block, command.challenge))
        except DecodeError as fault:
            return Refused(f"enciphered PIN: {fault}")

    def _typed(self, prompt: str) -> PIN | None:
        """The PIN of an entry; None when the cardholder cancels or types no PIN again and again."""
        for _ in range(PIN_ENTRIES):
            typed = self._keypad(prompt)
            if typed is None:
                return None
            try:  # ISO 9564-1 8.1: 4 to 12 digits, anything else is typed again
                return PIN(typed)
            except DecodeError:
                continue
        return None


def offline_block(pin: PIN) -> bytes:
    """The block that a card compares: 2, length, digits, filled with F (EMV B3 6.5.12, table 24)."""
    return bytes.fromhex(f"2{len(pin.digits):X}{pin.digits}".ljust(16, "F"))


def _enciphered(key: RSAPublicKey | SM2PublicKey, block: bytes, challenge: bytes) -> bytes:
    """Encipher block and challenge under the card's key, with random filler under RSA (EMV B2 7.2)."""
    if isinstance(key, SM2PublicKey):
        return key.encrypt(pin_data(block, challenge))
    filler = secrets.token_bytes(key.size - MIN_PIN_DATA)
    return key.recover(pin_data(block, challenge, filler))


def _is_right(mak: Cipher, mab: bytes, mac: bytes) -> bool:
    try:
        verify_mac(ecb_mac(mak, mab), mac, what="DE64")
    except IntegrityError:
        return False
    return True
