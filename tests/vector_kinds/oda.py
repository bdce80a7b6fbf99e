"""Vector kinds of offline data authentication: authorities' keys, a laboratory card's RSA chain, the SM2 forms."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

from shanfu.crypto import DEFAULT_USER_ID, RSAPrivateKey, RSAPublicKey, SM2PrivateKey, SM2PublicKey
from shanfu.errors import IntegrityError, ShanfuError
from shanfu.iso7816 import tlv
from shanfu.iso8583 import encode_ca_key, parse_ca_key
from shanfu.oda import (
    CAKey,
    CardData,
    Certificate,
    Chain,
    Failure,
    authenticate_dynamic,
    authenticate_fast,
    fdda_hash_input,
    make_icc_certificate,
    open_icc_certificate,
    open_issuer_certificate,
    sign_dynamic,
    static_data,
)
from shanfu.oda.blocks import Form, PublicKey, Sign, body, digest, open_signed
from shanfu.oda.dynamic import combined_parts
from shanfu.pan import PAN
from tests.vector_kinds.registry import Values, kind

OWN = Path(__file__).parent.parent / "vectors"


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def hexed(**values: bytes) -> Values:
    return {name: value.hex().upper() for name, value in values.items()}


def own(file: str, wanted: str, index: str) -> Values:
    """An authority's key of the project's own folder, to which other files point."""
    cases = json.loads((OWN / file).read_text())["cases"]
    return next(case for case in cases if case["kind"] == wanted and case["index"] == index)


def class_of(error: ShanfuError) -> str:
    return str(error).rsplit("_", 1)[-1].lower()


def opened(found: Certificate | Failure) -> Certificate:
    if isinstance(found, Failure):
        raise IntegrityError(found.name)
    return found


def point(key: PublicKey) -> bytes:
    assert isinstance(key, SM2PublicKey)
    return key.point


def modulus(key: PublicKey) -> bytes:
    assert isinstance(key, RSAPublicKey)
    return key.modulus


def card_of(values: dict[int, bytes], records: tuple[bytes, ...] = (), aip: bytes = b"") -> CardData:
    return CardData(rid=raw("A000000333"), values=values, records=[(3, bytes(tlv(0x70, body))) for body in records], aip=aip)


def remember(signed: list[bytes], sign: Sign) -> Sign:
    def signer(message: bytes) -> bytes:
        signed.append(message)
        return sign(message)

    return signer


# -- keys of authorities -----------------------------------------------------------------------------------------------


@kind("capk_rsa", "rid index algorithm modulus exponent pos_download_tlv_example status", "modulus_bits sha1_checksum")
def capk_rsa(v: Values) -> Values:
    """The numbers give the check sum, and the download parses to the same key and is written again byte for byte."""
    key = CAKey(rid=raw(v["rid"]), index=int(v["index"], 16), key=RSAPublicKey(raw(v["modulus"]), raw(v["exponent"])))
    if "pos_download_tlv_example" in v:
        told = b"1" + raw(v["pos_download_tlv_example"])  # the digit of DE62: there is one
        record = parse_ca_key(told)
        assert record is not None
        found = CAKey.of_record(record)
        assert (found.rid, found.index, found.key) == (key.rid, key.index, key.key)
        assert encode_ca_key(found.record) == told
    return {"modulus_bits": 8 * len(raw(v["modulus"])), "sha1_checksum": key.checksum.hex().upper()}


@kind("capk_sm2", "rid index algorithm public_key_x public_key_y status")
def capk_sm2(v: Values) -> Values:
    SM2PublicKey(raw(v["public_key_x"] + v["public_key_y"]))  # refuses what is no point of the curve
    return {}


@kind("sm2_ca_key", "rid index x y")
def sm2_ca_key(v: Values) -> Values:
    SM2PublicKey(raw(v["x"] + v["y"]))
    return {}


# -- RSA ---------------------------------------------------------------------------------------------------------------


@kind("recover_issuer_key", "rid ca_index tag_90 tag_92 tag_9F32",
      "recovered issuer_id cert_expiry_mmyy cert_serial issuer_modulus", class_of)  # fmt: skip
def recover_issuer_key(v: Values) -> Values:
    numbers = own("emv_capk_unionpay.json", "capk_rsa", v["ca_index"])
    authority = RSAPublicKey(raw(numbers["modulus"]), raw(numbers["exponent"]))
    values = {0x90: raw(v["tag_90"]), 0x92: raw(v.get("tag_92", "")), 0x9F32: raw(v["tag_9F32"])}
    found = opened(open_issuer_certificate(authority, card_of(values)))
    return hexed(
        recovered=authority.recover(values[0x90]),
        issuer_id=found.subject,
        cert_expiry_mmyy=found.expires,
        cert_serial=found.serial,
        issuer_modulus=modulus(found.key),
    )


@kind("recover_icc_key",
      "issuer_modulus issuer_exponent tag_9F46 tag_9F47 tag_9F48 tag_9F4A aip_82 static_data_records",
      "static_data_to_hash recovered pan_in_cert cert_expiry_mmyy icc_modulus", class_of)  # fmt: skip
def recover_icc_key(v: Values) -> Values:
    issuer = RSAPublicKey(raw(v["issuer_modulus"]), raw(v["issuer_exponent"]))
    tags = {0x9F46: "tag_9F46", 0x9F47: "tag_9F47", 0x9F48: "tag_9F48", 0x9F4A: "tag_9F4A"}
    values = {tag: raw(v[name]) for tag, name in tags.items() if v.get(name)}
    card = card_of(values, tuple(map(raw, v["static_data_records"])), raw(v["aip_82"]))
    static = static_data(card)
    assert isinstance(static, bytes)
    found = opened(open_icc_certificate(issuer, card, static=static))
    return hexed(
        static_data_to_hash=static,
        recovered=issuer.recover(values[0x9F46]),
        pan_in_cert=found.subject,
        cert_expiry_mmyy=found.expires,
        icc_modulus=modulus(found.key),
    )


@kind("icc_private_key", "p q d_mod_p_1 e", "icc_modulus")
def icc_private_key(v: Values) -> Values:
    p, q, exponent = (int(v[name], 16) for name in ("p", "q", "e"))
    dq, q_inv = (number.to_bytes(len(raw(v["q"]))) for number in (pow(exponent, -1, q - 1), pow(q, -1, p)))
    key = RSAPrivateKey(p=raw(v["p"]), q=raw(v["q"]), dp=raw(v["d_mod_p_1"]), dq=dq, q_inv=q_inv)
    assert int.from_bytes(key.public.exponent) == exponent
    return hexed(icc_modulus=key.public.modulus)


def fdda(version: int, tags: tuple[str, ...]) -> Callable[[Values], Values]:
    def run(v: Values) -> Values:
        key = RSAPublicKey(raw(v["icc_modulus"]), raw(v["icc_exponent"]))
        icc = Certificate(subject=bytes(10), expires=bytes(2), serial=bytes(3), key=key, content=b"")
        values = {int(tag, 16): raw(v[tag]) for tag in tags}
        found = authenticate_fast(Chain(icc=icc), raw(v["9F4B"]), values=values, version_01=version == 1)
        assert found.failure is None, found.failure
        terminal_data, recovered = fdda_hash_input(version, values), key.recover(raw(v["9F4B"]))
        inside = body(key, recovered[1:-21])
        return hexed(
            icc_dynamic_data=inside[1 : 1 + inside[0]],
            terminal_dynamic_data=terminal_data,
            recovered=recovered,
            hash=digest(key, recovered[1:-21] + terminal_data),
        )

    return run


FDDA = "icc_modulus icc_exponent 9F4B 9F36 9F37"
OUT = "icc_dynamic_data terminal_dynamic_data recovered hash"
kind("fdda_v00", FDDA, OUT)(fdda(0, ("9F36", "9F37")))
kind("fdda_v01", FDDA + " 9F02 5F2A 9F69", OUT)(fdda(1, ("9F36", "9F37", "9F02", "5F2A", "9F69")))


# -- SM2 ---------------------------------------------------------------------------------------------------------------


def fields_of(content: bytes, subject: str, size: int) -> Values:
    """The fixed part of a certificate's content, by the vectors' names."""
    at = 1 + size
    names = {"format": content[:1], subject: content[1:at], "expiry_mmyy": content[at : at + 2]}
    names |= {"serial": content[at + 2 : at + 5], "sig_alg": content[at + 5 : at + 6], "enc_alg": content[at + 6 : at + 7]}
    return hexed(**names, curve_param=content[at + 7 : at + 8], key_len=content[at + 8 : at + 9])


@kind("sm2_issuer_cert_verify", "ca_index tag_90 user_id", "signed_data fields issuer_public_key r s")
def sm2_issuer_cert_verify(v: Values) -> Values:
    assert raw(v["user_id"]) == DEFAULT_USER_ID
    numbers, tag_90 = own("emv_oda_sm2.json", "sm2_ca_key", v["ca_index"]), raw(v["tag_90"])
    found = opened(open_issuer_certificate(SM2PublicKey(raw(numbers["x"] + numbers["y"])), card_of({0x90: tag_90})))
    parts = hexed(signed_data=found.content, issuer_public_key=point(found.key), r=tag_90[-64:-32], s=tag_90[-32:])
    return parts | {"fields": fields_of(found.content, "issuer_id", 4)}


@kind("sm2_icc_cert_layout", "signed_data", "fields icc_public_key static_data_appended")
def sm2_icc_cert_layout(v: Values) -> Values:
    """Signed with a key of ours, the published bytes open as a certificate; made anew, the same bytes are signed."""
    issuer, signed = SM2PrivateKey.generate(), raw(v["signed_data"])
    content, static = signed[:84], signed[84:]
    card = card_of({0x9F46: content + issuer.sign(signed)})
    found, messages = opened(open_icc_certificate(issuer.public, card, static=static)), list[bytes]()
    last_day = found.last_day
    assert last_day is not None
    make_icc_certificate(
        found.key, issuer.public, pan=PAN(found.subject.hex().rstrip("f")), expires=date(last_day.year, last_day.month, 1),
        serial=found.serial, static=static, sign=remember(messages, issuer.sign),
    )  # fmt: skip
    assert messages == [signed]
    parts = hexed(icc_public_key=point(found.key), static_data_appended=static)
    return parts | {"fields": fields_of(found.content, "pan", 10)}


@kind("sm2_cda_layout", "signed_data", "fields")
def sm2_cda_layout(v: Values) -> Values:
    card, signed = SM2PrivateKey.generate(), raw(v["signed_data"])
    content, unpredictable = signed[: 2 + signed[1]], signed[2 + signed[1] :]
    found = open_signed(card.public, content + card.sign(signed), form=Form.DYNAMIC, outside=unpredictable)
    assert isinstance(found, bytes)
    data = body(card.public, found)[1:]
    number, cid, cryptogram, code = combined_parts(data)
    assert len(code) == len(digest(card.public, b""))
    named = hexed(format=found[:1], icc_dynamic_data_len=found[1:2], icc_dynamic_number_with_len=data[:1] + number)
    named |= hexed(cid=cid, ac=cryptogram, transaction_data_hash_sm3=code)
    return {"fields": named | {"9F37": unpredictable.hex().upper()}}


@kind("sm2_dda_generated", "private_key icc_dynamic_data 9F37 9F4B", "public_key signed_data")
def sm2_dda_generated(v: Values) -> Values:
    key, data, unpredictable = SM2PrivateKey(raw(v["private_key"])), raw(v["icc_dynamic_data"]), raw(v["9F37"])
    icc = Certificate(subject=bytes(10), expires=bytes(2), serial=bytes(3), key=key.public, content=b"")
    for signature in (raw(v["9F4B"]), sign_dynamic(key, data[1:], unpredictable)):
        found = authenticate_dynamic(Chain(icc=icc), bytes(tlv(0x80, signature)), terminal_data=unpredictable)
        assert (found.failure, found.proved) == (None, {0x9F4C: data[1:]})
        assert signature[:-64] == raw(v["9F4B"])[:-64]
    return hexed(public_key=key.public.point, signed_data=signature[:-64] + unpredictable)
