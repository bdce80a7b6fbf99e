"""Vector kinds of crypto: MACs, PIN blocks, card codes, check values, card keys and cryptograms, SM3 and SM4.

Intermediate values that no public function gives are composed here from smaller public ones, as the vectors' README says.
"""

import re
from collections.abc import Callable

from shanfu.crypto import (
    PIN,
    Algorithm,
    CardAlgorithm,
    Cipher,
    PinFormat,
    Place,
    RetailKey,
    SessionKey,
    cbc_mac,
    cmac,
    combine,
    ctr,
    cvv,
    decipher_pin,
    decode_block,
    ecb_mac,
    encipher_pin,
    encipher_script_data,
    encode_block,
    gcm_open,
    gcm_seal,
    ibm3624_natural,
    ibm3624_offset,
    ibm3624_pin,
    iso4_pan_field,
    iso4_pin_field,
    kcv,
    left4_text,
    odd_parity,
    pad,
    pan_block,
    pboc_diversifier,
    pin_change_block,
    pin_change_key_part,
    script_mac_input,
    session_key_emv_csk,
    session_key_pboc,
    sm3,
    sm4_cbc_mac,
    udk_option_a,
    udk_option_b,
    visa_cvn10_cryptogram,
    visa_pvv,
    x9_9,
    x9_19,
    xor,
    xor_fold,
)
from shanfu.emv import commands, cryptogram_input, parse_cryptogram_response
from shanfu.iso7816 import CommandAPDU
from tests.vector_kinds.registry import Values, kind

CIPHERS = {"DES": Algorithm.TDES, "TDES": Algorithm.TDES, "AES": Algorithm.AES, "SM4": Algorithm.SM4}


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def up(data: bytes) -> str:
    return data.hex().upper()


def tdes(key: str | bytes) -> Cipher:
    return Cipher(Algorithm.TDES, raw(key) if isinstance(key, str) else key)


def sm4(key: str | bytes) -> Cipher:
    return Cipher(Algorithm.SM4, raw(key) if isinstance(key, str) else key)


def aes(key: str) -> Cipher:
    return Cipher(Algorithm.AES, raw(key))


# MACs


@kind("iso9797_1_alg3_pad1", "key message", "mac")
def _(v: Values) -> Values:
    return {"mac": up(RetailKey(raw(v["key"])).mac(raw(v["message"]), padding=1))}


@kind("iso9797_1_alg3_pad2", "key message padding", "mac")
def _(v: Values) -> Values:
    assert v.get("padding", 2) == 2
    return {"mac": up(RetailKey(raw(v["key"])).mac(raw(v["message"]), padding=2))}


@kind("iso9797_1_alg1_tdes", "key message padding", "mac")
def _(v: Values) -> Values:
    return {"mac": up(cbc_mac(tdes(v["key"]), raw(v["message"]), padding=v["padding"]))}


@kind("retail_mac_psec_wide_keys", "key1 key2 message padding", "mac")
def _(v: Values) -> Values:
    inner = cbc_mac(tdes(v["key1"]), raw(v["message"]), padding=v["padding"])
    return {"mac": up(tdes(v["key1"]).encrypt(tdes(v["key2"]).decrypt(inner)))}


@kind("cmac_aes", "key message", "mac")
def _(v: Values) -> Values:
    return {"mac": up(cmac(aes(v["key"]), raw(v["message"])))}


@kind("cmac_tdes", "key message", "mac")
def _(v: Values) -> Values:
    return {"mac": up(cmac(tdes(v["key"]), raw(v["message"])))}


@kind("sm4_cmac", "key message", "mac")
def _(v: Values) -> Values:
    return {"mac": up(cmac(sm4(v["key"]), raw(v["message"])))}


@kind("sm4_cbc_mac_pad2", "key message", "padded mac16")
def _(v: Values) -> Values:
    message = raw(v["message"])
    return {"padded": up(pad(message, 2, 16)), "mac16": up(cbc_mac(sm4(v["key"]), message, padding=2))}


@kind("unionpay_pos_ecb_mac", "key mab", "xor8 field64")
def _(v: Values) -> Values:
    return {"xor8": up(xor_fold(raw(v["mab"]), 8)), "field64": up(ecb_mac(tdes(v["key"]), raw(v["mab"])))}


def ecb_steps(cipher: Cipher, message: bytes) -> Values:
    size = cipher.block_bytes
    folded = xor_fold(message, size)
    text = up(folded).encode()
    enc1 = cipher.encrypt(text[:size])
    temp = xor(enc1, text[size:])
    mac = ecb_mac(cipher, message)
    steps: Values = {
        "xor_block": up(folded), "hex_ascii": up(text), "enc1": up(enc1), "temp_block": up(temp),
        "enc2": up(cipher.encrypt(temp)), "mac_ascii": mac.decode(), "de64": up(mac),
    }  # fmt: skip
    return steps


def ecb_checked(cipher: Cipher, v: Values) -> Values:
    steps = ecb_steps(cipher, raw(v["message"]))
    published = v.get("published", {})
    assert {name: steps[name] for name in published} == published
    return steps


ECB_GIVES = "xor_block hex_ascii enc1 temp_block enc2 mac_ascii de64"


@kind("mac_unionpay_ecb_des", "key message published", ECB_GIVES)
def _(v: Values) -> Values:
    return ecb_checked(tdes(v["key"]), v)


@kind("mac_unionpay_ecb_sm4", "key message published", ECB_GIVES)
def _(v: Values) -> Values:
    return ecb_checked(sm4(v["key"]), v)


def wire_mac(result: bytes) -> Values:
    return {"result": up(result), "mac_left4": up(result[:4]), "mac_ascii": left4_text(result).decode()}


@kind("mac_x9_9", "key message", "result mac_left4 mac_ascii")
def _(v: Values) -> Values:
    return wire_mac(x9_9(raw(v["key"]), raw(v["message"])))


@kind("mac_x9_19", "key message", "result mac_left4 mac_ascii")
def _(v: Values) -> Values:
    return wire_mac(x9_19(raw(v["key"]), raw(v["message"])))


@kind("mac_sm4_cbc", "key message", "result")
def _(v: Values) -> Values:
    return {"result": up(sm4_cbc_mac(sm4(v["key"]), raw(v["message"])))}


# PIN blocks


@kind("pin_block_iso0", "pin pan", "pin_block")
def _(v: Values) -> Values:
    block = encode_block(PinFormat.ISO0, PIN(v["pin"]), pan=v["pan"])
    assert decode_block(PinFormat.ISO0, block, pan=v["pan"]).digits == v["pin"]
    return {"pin_block": up(block)}


@kind("pin_block_iso1", "pin fill_nibbles", "pin_block")
def _(v: Values) -> Values:
    block = encode_block(PinFormat.ISO1, PIN(v["pin"]), fill=v["fill_nibbles"])
    assert decode_block(PinFormat.ISO1, block).digits == v["pin"]
    return {"pin_block": up(block)}


@kind("pin_block_iso3", "pin pan fill_nibbles", "pin_block")
def _(v: Values) -> Values:
    block = encode_block(PinFormat.ISO3, PIN(v["pin"]), pan=v["pan"], fill=v["fill_nibbles"])
    assert decode_block(PinFormat.ISO3, block, pan=v["pan"]).digits == v["pin"]
    return {"pin_block": up(block)}


@kind("pin_block_iso4", "key pin pan random", "pin_field pan_field encrypted")
def _(v: Values) -> Values:
    cipher = aes(v["key"])
    block = encipher_pin(cipher, PinFormat.ISO4, PIN(v["pin"]), pan=v["pan"], fill=v["random"])
    assert decipher_pin(cipher, PinFormat.ISO4, block, pan=v["pan"]).digits == v["pin"]
    field = iso4_pin_field(PIN(v["pin"]), v["random"])
    return {"pin_field": up(field), "pan_field": up(iso4_pan_field(v["pan"])), "encrypted": up(block)}


def block_and_cipher(cipher: Cipher | None, form: PinFormat, v: Values) -> Values:
    """The clear block and, with a key, the enciphered one, read back again."""
    pin, pan = PIN(v["pin"]), v.get("pan", "")
    clear = encode_block(form, pin, pan=pan)
    assert decode_block(form, clear, pan=pan) == pin
    got = {"pin_block": up(clear), "published_pin_block": up(clear)}
    if cipher is None:
        return got
    block = encipher_pin(cipher, form, pin, pan=pan)
    assert decipher_pin(cipher, form, block, pan=pan) == pin
    return got | {"encrypted": up(block)}


@kind("pin_block_sm4_x98", "pin pan key", "pin_block encrypted")
def _(v: Values) -> Values:
    form = PinFormat.SM4_X98 if v.get("pan") else PinFormat.SM4_NO_PAN
    return block_and_cipher(sm4(v["key"]) if "key" in v else None, form, v)


@kind("pin_x98_sm4", "pin pan key", "pin_block encrypted published_pin_block")
def _(v: Values) -> Values:
    return block_and_cipher(sm4(v["key"]), PinFormat.SM4_X98, v)


@kind("pin_x98_with_pan", "pin pan key", "pin_block encrypted published_pin_block")
def _(v: Values) -> Values:
    return block_and_cipher(tdes(v["key"]), PinFormat.ISO0, v)


@kind("pin_x98_without_pan", "pin key", "pin_block encrypted")
def _(v: Values) -> Values:
    return block_and_cipher(tdes(v["key"]), PinFormat.X98_NO_PAN, v)


@kind("pin_translate_iso0", "in_key out_key pan pan_out in_block", "out_block")
def _(v: Values) -> Values:
    pin = decipher_pin(tdes(v["in_key"]), PinFormat.ISO0, raw(v["in_block"]), pan=v["pan"])
    return {"out_block": up(encipher_pin(tdes(v["out_key"]), PinFormat.ISO0, pin, pan=v["pan_out"]))}


@kind("pin_translate_iso0_to_sm4", "in_key out_key pan in_block", "out_block")
def _(v: Values) -> Values:
    pin = decipher_pin(tdes(v["in_key"]), PinFormat.ISO0, raw(v["in_block"]), pan=v["pan"])
    return {"out_block": up(encipher_pin(sm4(v["out_key"]), PinFormat.SM4_X98, pin, pan=v["pan"]))}


@kind("ibm3624", "pvk decimalisation_table validation_data pin", "natural_pin offset")
def _(v: Values) -> Values:
    pin = PIN(v["pin"])
    natural = ibm3624_natural(
        tdes(v["pvk"]), validation_data=v["validation_data"], table=v["decimalisation_table"], length=len(pin.digits)
    )
    offset = ibm3624_offset(natural, pin)
    assert ibm3624_pin(natural, offset) == pin
    return {"natural_pin": natural, "offset": offset}


@kind("visa_pvv", "pvk pvki pin pan", "pvv")
def _(v: Values) -> Values:
    return {"pvv": visa_pvv(tdes(v["pvk"]), PIN(v["pin"]), pan=v["pan"], pvki=int(v["pvki"]))}


@kind("cvv", "cvk pan expiry_as_used service_code", "cvv")
def _(v: Values) -> Values:
    return {"cvv": cvv(raw(v["cvk"]), pan=v["pan"], expiry=v["expiry_as_used"], service_code=v["service_code"])}


# Check values, components, working keys


@kind("kcv_legacy", "algorithm key kcv", "")
def _(v: Values) -> Values:
    cipher, given = Cipher(CIPHERS[v["algorithm"]], raw(v["key"])), raw(v["kcv"])
    assert 3 <= len(given) <= 8
    assert cipher.encrypt(bytes(cipher.block_bytes))[: len(given)] == given  # as many bytes as the case gives
    assert kcv(cipher, Place.LEGACY) == given[:3]
    return {}


@kind("kcv_3des", "key_role key", "kcv")
def _(v: Values) -> Values:
    return {"kcv": up(kcv(tdes(v["key"])))}


@kind("kcv_cmac", "algorithm key", "kcv5 kcv3 kcv_legacy3")
def _(v: Values) -> Values:
    cipher = Cipher(CIPHERS[v["algorithm"]], raw(v["key"]))
    places = {"kcv5": Place.CMAC5, "kcv3": Place.CMAC3, "kcv_legacy3": Place.LEGACY}
    return {name: up(kcv(cipher, place)) for name, place in places.items()}


@kind("kcv_sm4", "algorithm key", "kcv_ecb_zero_first8 kcv_cmac5")
def _(v: Values) -> Values:
    assert v.get("algorithm", "SM4") == "SM4"
    cipher = sm4(v["key"])
    return {"kcv_ecb_zero_first8": up(kcv(cipher, Place.SIGN_IN_SM4_8)), "kcv_cmac5": up(kcv(cipher, Place.CMAC5))}


@kind("xor_components", "components", "key kcv")
def _(v: Values) -> Values:
    key = combine([raw(part) for part in v["components"]])
    return {"key": up(key), "kcv": up(kcv(tdes(key)))}


@kind("odd_parity", "raw", "adjusted")
def _(v: Values) -> Values:
    return {"adjusted": up(odd_parity(raw(v["raw"])))}


@kind("working_keys_de62", "tmk layout de62", "keys published_plain")
def _(v: Values) -> Values:
    tmk, de62 = tdes(v["tmk"]), raw(v["de62"])
    keys: list[Values] = []
    at = 0
    for name, width, zeros in re.findall(r"_([A-Z]+)(\d+)(Z?)", v["layout"]):
        size = 16 if zeros else int(width)
        enciphered, check = de62[at : at + size], de62[at + size : at + size + 4]
        plain = tmk.decrypt(enciphered[: int(width)])
        assert kcv(tdes(plain), Place.SIGN_IN) == check
        keys.append({"name": name, "offset": at, "encrypted": up(enciphered), "plain": up(plain), "check_value": up(check)})
        at += size + 4
    assert at == len(de62) == int(v["layout"].split("_")[0])
    return {"keys": keys, "published_plain": [key["plain"] for key in keys]}


@kind("working_key_sm4", "tmk encrypted", "plain check_value_8 published_check_value")
def _(v: Values) -> Values:
    plain = sm4(v["tmk"]).decrypt(raw(v["encrypted"]))
    check = up(kcv(sm4(plain), Place.SIGN_IN_SM4_8))
    return {"plain": up(plain), "check_value_8": check, "published_check_value": check}


# Card keys and cryptograms


def cryptogram_and_arpc(session: SessionKey, data: bytes, arc: str) -> tuple[str, str]:
    ac = session.cryptogram(data)
    return up(ac), up(session.arpc(ac, raw(arc)))


@kind("pboc_arqc_3des", "imk_ac pan psn atc data arc tags", "udk_no_parity session_key arqc arpc")
def _(v: Values) -> Values:
    udk = udk_option_a(tdes(v["imk_ac"]), v["pan"], v["psn"])
    key = session_key_pboc(tdes(udk), int(v["atc"], 16))
    arqc, arpc = cryptogram_and_arpc(SessionKey(CardAlgorithm.TDES, key), raw(v["data"]), v["arc"])
    return {"udk_no_parity": up(udk), "session_key": up(key), "arqc": arqc, "arpc": arpc}


@kind("pboc_arqc_sm4", "imk_ac pan psn atc data arc", "udk session_key mac16 arqc_if_left8 arpc_if_zero_padded_left8")
def _(v: Values) -> Values:
    udk = udk_option_a(sm4(v["imk_ac"]), v["pan"], v["psn"])
    key = session_key_pboc(sm4(udk), int(v["atc"], 16))
    arqc, arpc = cryptogram_and_arpc(SessionKey(CardAlgorithm.SM4, key), raw(v["data"]), v["arc"])
    return {
        "udk": up(udk), "session_key": up(key), "mac16": up(cbc_mac(sm4(key), raw(v["data"]), padding=2)),
        "arqc_if_left8": arqc, "arpc_if_zero_padded_left8": arpc,
    }  # fmt: skip


@kind("emv_udk_option_a", "imk pan psn", "udk")
def _(v: Values) -> Values:
    return {"udk": up(odd_parity(udk_option_a(tdes(v["imk"]), v["pan"], v["psn"])))}


@kind("emv_udk_option_b", "imk pan psn", "udk")
def _(v: Values) -> Values:
    return {"udk": up(odd_parity(udk_option_b(tdes(v["imk"]), v["pan"], v["psn"])))}


@kind("emv_csk_arqc", "imk pan psn r data arc arpc_key", "udk session_key arqc arpc")
def _(v: Values) -> Values:
    udk = odd_parity(udk_option_a(tdes(v["imk"]), v["pan"], v["psn"]))
    key = session_key_emv_csk(tdes(udk), raw(v["r"]))
    arqc = SessionKey(CardAlgorithm.TDES, key).cryptogram(raw(v["data"]))
    answering = SessionKey(CardAlgorithm.TDES, {"udk": udk, "session_key": key}[v["arpc_key"]])
    return {"udk": up(udk), "session_key": up(key), "arqc": up(arqc), "arpc": up(answering.arpc(arqc, raw(v["arc"])))}


@kind("visa_cvn10_arqc", "imk pan psn data arc", "arqc arpc")
def _(v: Values) -> Values:
    udk = odd_parity(udk_option_a(tdes(v["imk"]), v["pan"], v["psn"]))
    arqc = visa_cvn10_cryptogram(udk, raw(v["data"]))
    return {"arqc": up(arqc), "arpc": up(SessionKey(CardAlgorithm.TDES, udk).arpc(arqc, raw(v["arc"])))}


@kind("pboc_script_mac_3des", "mac_session_key message", "mac8 mac4")
def _(v: Values) -> Values:
    key, message = raw(v["mac_session_key"]), raw(v["message"])
    mac4 = SessionKey(CardAlgorithm.TDES, key).script_mac(message)
    return {"mac8": up(RetailKey(key).mac(message, padding=2)), "mac4": up(mac4)}


@kind("udk_option_a", "key_role imk pan psn", "y udk_no_parity udk_odd_parity")
def _(v: Values) -> Values:
    udk = udk_option_a(tdes(v["imk"]), v["pan"], v["psn"])
    return {"y": up(pan_block(v["pan"], v["psn"])), "udk_no_parity": up(udk), "udk_odd_parity": up(odd_parity(udk))}


@kind("udk_option_b", "key_role imk pan psn", "udk_odd_parity")
def _(v: Values) -> Values:
    return {"udk_odd_parity": up(odd_parity(udk_option_b(tdes(v["imk"]), v["pan"], v["psn"])))}


@kind("session_key_pboc", "key_role udk atc", "diversifier session_key")
def _(v: Values) -> Values:
    atc = int(v["atc"], 16)
    return {"diversifier": up(pboc_diversifier(atc)), "session_key": up(session_key_pboc(tdes(v["udk"]), atc))}


@kind("session_key_emv_csk", "udk atc", "session_key_no_parity session_key_odd_parity")
def _(v: Values) -> Values:
    key = session_key_emv_csk(tdes(v["udk"]), raw(v["atc"]) + bytes(6))
    return {"session_key_no_parity": up(key), "session_key_odd_parity": up(odd_parity(key))}


def mac_input(cvn: str, fields: Values, **more: bytes) -> bytes:
    tags = {int(tag, 16): raw(value) for tag, value in fields.items()}
    return cryptogram_input(int(cvn, 16), tags | {int(tag.removeprefix("x"), 16): value for tag, value in more.items()})


@kind("application_cryptogram", "alg cvn udk_ac atc fields", "session_key mac_input ac")
def _(v: Values) -> Values:
    algorithm = CardAlgorithm(int(v["alg"], 16))
    key = session_key_pboc(Cipher(algorithm.cipher, raw(v["udk_ac"])), int(v["atc"], 16))
    data = mac_input(v["cvn"], v["fields"])
    return {"session_key": up(key), "mac_input": up(data), "ac": up(SessionKey(algorithm, key).cryptogram(data))}


@kind("arpc_method_1", "session_key arqc arc", "arpc tag_91")
def _(v: Values) -> Values:
    arpc = up(SessionKey(CardAlgorithm.TDES, raw(v["session_key"])).arpc(raw(v["arqc"]), raw(v["arc"])))
    return {"arpc": arpc, "tag_91": arpc + v["arc"]}


@kind("arpc_method_2", "session_key arqc csu", "arpc tag_91")
def _(v: Values) -> Values:
    arpc = up(SessionKey(CardAlgorithm.TDES, raw(v["session_key"])).arpc_method_2(raw(v["arqc"]), raw(v["csu"])))
    return {"arpc": arpc, "tag_91": arpc + v["csu"]}


def macced_script(v: Values, data: bytes) -> Values:
    header, atc = raw(v["header_cla_ins_p1_p2_lc"]), int(v["atc"], 16)
    key = session_key_pboc(tdes(v["udk_mac"]), atc)
    covered = script_mac_input(header, atc=atc, cryptogram=raw(v["arqc"]), data=data)
    mac = SessionKey(CardAlgorithm.TDES, key).script_mac(covered)
    return {"session_key_mac": up(key), "mac_input": up(covered), "mac": up(mac), "apdu": up(header + data + mac)}


@kind(
    "script_mac",
    "command udk_mac atc arqc header_cla_ins_p1_p2_lc command_data_before_mac",
    "session_key_mac mac_input mac apdu",
)
def _(v: Values) -> Values:
    return macced_script(v, raw(v["command_data_before_mac"]))


@kind(
    "script_pin_change",
    "command udk_ac udk_enc udk_mac atc arqc new_pin header_cla_ins_p1_p2_lc",
    "pin_block session_key_enc encipher_input_len_data_80 enciphered command_data_before_mac "
    "session_key_mac mac_input mac apdu",
)
def _(v: Values) -> Values:
    block = pin_change_block(PIN(v["new_pin"]), pin_change_key_part(raw(v["udk_ac"]), raw(v["udk_enc"])))
    key = session_key_pboc(tdes(v["udk_enc"]), int(v["atc"], 16))
    enciphered = encipher_script_data(tdes(key), block)
    return {
        "pin_block": up(block), "session_key_enc": up(key), "enciphered": up(enciphered),
        "encipher_input_len_data_80": up(pad(bytes([len(block)]) + block, 2, 8)), "command_data_before_mac": up(enciphered),
    } | macced_script(v, enciphered)  # fmt: skip


@kind("sm4_kat", "key plaintext", "ciphertext")
def _(v: Values) -> Values:
    return there_and_back(sm4(v["key"]).encrypt, sm4(v["key"]).decrypt, v)


@kind("pboc_udk_sm4", "imk pan psn", "diversifier udk")
def _(v: Values) -> Values:
    y = pan_block(v["pan"], v["psn"])
    return {"diversifier": up(y + xor(y, b"\xff" * 8)), "udk": up(udk_option_a(sm4(v["imk"]), v["pan"], v["psn"]))}


@kind("pboc_ac_sm4", "alg cvn udk atc mac_input", "diversifier session_key cbc_mac_16 ac")
def _(v: Values) -> Values:
    assert CardAlgorithm(int(v["alg"], 16)) is CardAlgorithm.SM4
    atc, data = int(v["atc"], 16), raw(v["mac_input"])
    key = session_key_pboc(sm4(v["udk"]), atc)
    return {
        "diversifier": up(pboc_diversifier(atc)), "session_key": up(key), "cbc_mac_16": up(cbc_mac(sm4(key), data, padding=2)),
        "ac": up(SessionKey(CardAlgorithm.SM4, key).cryptogram(data)),
    }  # fmt: skip


@kind(
    "real_worked_example",
    "imk_ac pan psn udk_ac atc fields cvr arc generate_ac_command generate_ac_response",
    "diversifier session_key mac_input ac arpc tag_91 external_authenticate 9F10",
)
def _(v: Values) -> Values:
    got: Values = {}
    if "imk_ac" in v:
        y = pan_block(v["pan"], v["psn"])
        got["diversifier"] = up(y + xor(y, b"\xff" * 8))
        assert up(udk_option_a(tdes(v["imk_ac"]), v["pan"], v["psn"])) == v["udk_ac"]
    key = session_key_pboc(tdes(v["udk_ac"]), int(v["atc"], 16))
    data = mac_input("01", v["fields"], x9F10=bytes(3) + raw(v["cvr"]) + bytes(1))
    ac, arpc = cryptogram_and_arpc(SessionKey(CardAlgorithm.TDES, key), data, v["arc"])
    tag_91 = arpc + v["arc"]
    got |= {"session_key": up(key), "mac_input": up(data), "ac": ac, "arpc": arpc, "tag_91": tag_91}
    if "generate_ac_command" in v:
        assert CommandAPDU.parse(raw(v["generate_ac_command"])).ins == 0xAE
    if "generate_ac_response" in v:
        parts = parse_cryptogram_response(raw(v["generate_ac_response"]))
        assert (up(parts[0x9F36]), up(parts[0x9F26])) == (v["atc"], ac)
        got["9F10"] = up(parts[0x9F10])
    return got | {"external_authenticate": up(bytes(commands.external_authenticate(raw(tag_91))))}


# SM3 and SM4


def there_and_back(encrypt: Callable[[bytes], bytes], decrypt: Callable[[bytes], bytes], v: Values) -> Values:
    ciphertext = encrypt(raw(v["plaintext"]))
    assert decrypt(ciphertext) == raw(v["plaintext"])
    return {"ciphertext": up(ciphertext)}


@kind("sm3", "message", "digest")
def _(v: Values) -> Values:
    return {"digest": up(sm3(raw(v["message"])))}


@kind("sm4_ecb", "key plaintext", "ciphertext")
def _(v: Values) -> Values:
    return there_and_back(sm4(v["key"]).encrypt, sm4(v["key"]).decrypt, v)


@kind("sm4_cbc", "key iv plaintext", "ciphertext")
def _(v: Values) -> Values:
    cipher, iv = sm4(v["key"]), raw(v["iv"])
    return there_and_back(lambda data: cipher.encrypt_cbc(data, iv), lambda data: cipher.decrypt_cbc(data, iv), v)


@kind("sm4_ctr", "key iv plaintext", "ciphertext")
def _(v: Values) -> Values:
    def run(data: bytes) -> bytes:
        return ctr(Algorithm.SM4, raw(v["key"]), counter=raw(v["iv"]), data=data)

    return there_and_back(run, run, v)


@kind("sm4_ecb_iterated", "key plaintext rounds", "ciphertext")
def _(v: Values) -> Values:
    cipher, block = sm4(v["key"]), raw(v["plaintext"])
    for _ in range(v["rounds"]):
        block = cipher.encrypt(block)
    return {"ciphertext": up(block)}


@kind("sm4_gcm", "key iv aad plaintext", "ciphertext tag")
def _(v: Values) -> Values:
    key, nonce, aad, plain = raw(v["key"]), raw(v["iv"]), raw(v.get("aad", "")), raw(v["plaintext"])
    sealed = gcm_seal(Algorithm.SM4, key, nonce=nonce, data=plain, aad=aad)
    assert gcm_open(Algorithm.SM4, key, nonce=nonce, sealed=sealed, aad=aad) == plain
    return {"ciphertext": up(sealed[:-16]), "tag": up(sealed[-16:])}
