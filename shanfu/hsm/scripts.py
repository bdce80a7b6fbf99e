"""Issuer script commands: what the bank has a card do, under a MAC that only the bank can make and for one payment only.

The card key of the MAC (and of what is confidential) comes from its own master key, its session key from the counter of the
payment whose cryptogram has just been verified; counter and cryptogram enter the MAC, so a command cannot be played again.
A new PIN is read from its block, put into the card's form and enciphered between two lines here. Called by `soft`.
Sources: JR/T 0025.7 (keys, PIN block), EMV Book 2 9.2 (MAC), EMV Book 3 6.5 (commands); layouts: `shanfu.crypto.cryptogram`.
"""

from shanfu.crypto import (
    CardAlgorithm,
    Cipher,
    SessionKey,
    encipher_script_data,
    pin_change_block,
    pin_change_key_part,
    script_mac_input,
    session_key_pboc,
    udk_option_a,
)
from shanfu.errors import DecodeError, Fault, KeyUseError
from shanfu.hsm.bench import Bench, OpenKey
from shanfu.hsm.jobs import ARQCCheck, KeyUsage, ScriptJob
from shanfu.hsm.pins import read_pin

__all__ = ["make_script"]

MAC_BYTES = 4
LIMITS_DATA_BYTES = 255 - MAC_BYTES  # Lc is one byte and counts the MAC
PIN_CHANGE, NEW_PIN_ALONE = 0x24, 0x02  # EMV B3 6.5.10; P2 as VIS has it


def make_script(bench: Bench, job: ScriptJob, proved: ARQCCheck) -> bytes | None:
    """Return one command for the card of a verified cryptogram; None when the block of its new PIN cannot be read."""
    _require_command(job, proved)
    mac_key = _session(bench.use(job.imk_mac, KeyUsage.IMK_MAC, KeyUsage.UDK_MAC), proved)
    data = _data(bench, job, proved)
    if data is None:
        return None
    if len(data) > LIMITS_DATA_BYTES:
        raise DecodeError(f"{len(data)} bytes of data, at most {LIMITS_DATA_BYTES}", fault=Fault.LENGTH, path="script")
    header = job.header + bytes([len(data) + MAC_BYTES])
    covered = script_mac_input(header, atc=proved.atc, cryptogram=proved.arqc, data=data)
    return header + data + SessionKey(CardAlgorithm[proved.algorithm.name], mac_key).script_mac(covered)


def _require_command(job: ScriptJob, proved: ARQCCheck) -> None:
    if proved.scheme is not None:
        raise KeyUseError("script: the cryptogram is of a phone, whose keys change through the cloud and by no script")
    # EMV B2 9.1: class x4, secure messaging without the header in the data field
    if len(job.header) != 4 or job.header[0] & 0x0C != 0x04:
        raise DecodeError("the header has 4 bytes and a class with secure messaging", path="script", spec="EMV B2 9.1")
    changes_pin = (job.header[1], job.header[3]) == (PIN_CHANGE, NEW_PIN_ALONE)
    # a PIN block goes into PIN CHANGE and nowhere else: put as data it could be read back from the card
    if (job.pin is not None) != changes_pin or (job.pin is not None and job.data):
        raise KeyUseError("script: PIN CHANGE takes a new PIN and nothing else does (EMV B3 6.5.10)")


def _data(bench: Bench, job: ScriptJob, proved: ARQCCheck) -> bytes | None:
    """Return the data field as the card gets it, enciphered where asked."""
    if job.pin is None and not job.enciphered:
        return job.data
    if job.imk_enc is None:
        raise KeyUseError("script: data is confidential, a key IMK_ENC is needed (JR/T 0025.7)")
    master = bench.use(job.imk_enc, KeyUsage.IMK_ENC, KeyUsage.UDK_ENC)
    session = Cipher(CardAlgorithm[proved.algorithm.name].cipher, _session(master, proved))
    if job.pin is None:
        return encipher_script_data(session, job.data)
    try:
        pin = read_pin(bench, job.pin.block, key=job.pin.key, form=job.pin.format, pan=proved.pan)
    except DecodeError:
        return None
    card_key = _card_key(bench.use(proved.imk, KeyUsage.IMK_AC, KeyUsage.UDK_AC), proved)
    part = pin_change_key_part(card_key, _card_key(master, proved))
    return encipher_script_data(session, pin_change_block(pin, part))


def _card_key(key: OpenKey, proved: ARQCCheck) -> bytes:
    if key.algorithm is not proved.algorithm:
        raise KeyUseError(f"{key.usage.name} key: is of {key.algorithm.name}, the card of {proved.algorithm.name}")
    own = key.usage in (KeyUsage.UDK_AC, KeyUsage.UDK_ENC, KeyUsage.UDK_MAC)
    return key.key if own else udk_option_a(key.cipher, proved.pan, proved.psn)


def _session(key: OpenKey, proved: ARQCCheck) -> bytes:
    card_key = _card_key(key, proved)
    return session_key_pboc(Cipher(CardAlgorithm[proved.algorithm.name].cipher, card_key), proved.atc)
