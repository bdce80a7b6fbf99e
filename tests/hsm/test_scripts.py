"""Issuer scripts: the published commands come out, a new PIN stays inside, and nothing without the proof of a cryptogram."""

import json

import pytest

from shanfu import crypto
from shanfu.crypto import PIN, CardAlgorithm, Cipher, SessionKey
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from shanfu.hsm import KeyScheme, KeyUsage, PINBlockFormat, ScriptPIN, SoftHSM
from tests.hsm.box import DATA, IMK, KEY, LMKEY, PAN, SM4, TDES, arqc_check, known, pin_block, script
from tests.test_vectors import OWN

CASES = {c["id"]: c for c in json.loads((OWN / "emv_crypto_pboc.json").read_text())["cases"] if c["kind"].startswith("script_")}
NEW_PIN = bytes.fromhex("84240002")
UDK_AC = bytes.fromhex("11223344006677881122334455007788")


def laboratory(hsm, case, **changes):
    """Make a script job of a published case: the card's own keys, and a cryptogram of its ATC that these keys prove."""
    udk, atc = bytes.fromhex(case.get("udk_ac", UDK_AC.hex())), int(case["atc"], 16)
    arqc = session(atc, udk).cryptogram(DATA)
    (proved,) = hsm.verify_arqcs([arqc_check(hsm, imk=known(hsm, KeyUsage.UDK_AC, udk), atc=atc, pan=PAN, arqc=arqc)])
    # the published cases have a cryptogram without its data: it is put in place of the one that was proved
    check, key = hsm._proofs[proved.ticket]
    hsm._proofs[proved.ticket] = (altered(check, arqc=bytes.fromhex(case["arqc"])), key)
    fields = {"proof": proved, "imk_mac": known(hsm, KeyUsage.UDK_MAC, bytes.fromhex(case["udk_mac"])), "data": b""}
    return script(hsm, **fields | {"header": bytes.fromhex(case["header_cla_ins_p1_p2_lc"])[:4]} | changes)


def altered(job, **changes):
    return type(job)(**{name: getattr(job, name) for name in job.__struct_fields__} | changes)


def session(atc, udk=UDK_AC, algorithm=CardAlgorithm.TDES):
    return SessionKey(algorithm, crypto.session_key_pboc(Cipher(algorithm.cipher, udk), atc))


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c["kind"] == "script_mac"])
def test_the_published_commands(hsm, name):
    case = CASES[name]
    job = laboratory(hsm, case, data=bytes.fromhex(case["command_data_before_mac"]))
    assert hsm.make_scripts([job])[0].hex().upper() == case["apdu"]


@pytest.mark.parametrize(
    "name", [n for n, c in CASES.items() if c["kind"] == "script_pin_change" and c["udk_ac"] == UDK_AC.hex()]
)
def test_the_published_pin_changes(hsm, name):
    case = CASES[name]
    block = pin_block(PINBlockFormat.ISO_0, KEY, pin=case["new_pin"])
    pin = ScriptPIN(block=block, key=known(hsm, KeyUsage.PIK))
    job = laboratory(hsm, case, pin=pin, imk_enc=known(hsm, KeyUsage.UDK_ENC, bytes.fromhex(case["udk_enc"])))
    (made,) = hsm.make_scripts([job])
    assert made.hex().upper() == case["apdu"]
    assert case["new_pin"] not in made.hex()


def test_the_cases_are_there():
    assert {case["kind"] for case in CASES.values()} == {"script_mac", "script_pin_change"}


@pytest.mark.parametrize(("algorithm", "card"), [(TDES, CardAlgorithm.TDES), (SM4, CardAlgorithm.SM4)])
def test_a_cards_keys_come_from_the_master_keys(hsm, algorithm, card):
    """Made from master keys here, undone with the card's own: what the card computes itself."""
    udk_ac, udk_mac, udk_enc = (crypto.udk_option_a(Cipher(card.cipher, m), PAN, "01") for m in (IMK, KEY, KEY[::-1]))
    arqc = session(7, udk_ac, card).cryptogram(DATA)
    imk = known(hsm, KeyUsage.IMK_AC, IMK, algorithm)
    (proof,) = hsm.verify_arqcs([arqc_check(hsm, imk=imk, algorithm=algorithm, pan=PAN, atc=7, arqc=arqc)])
    keys = {"imk_mac": known(hsm, KeyUsage.IMK_MAC, KEY, algorithm),
            "imk_enc": known(hsm, KeyUsage.IMK_ENC, KEY[::-1], algorithm)}  # fmt: skip
    pin = ScriptPIN(block=pin_block(PINBlockFormat.ISO_0, KEY, "246802"), key=known(hsm, KeyUsage.PIK))
    plain, secret, change = hsm.make_scripts([
        script(hsm, proof=proof, data=b"\x00\x10", **keys),
        script(hsm, proof=proof, data=b"\x00\x10", enciphered=True, **keys),
        script(hsm, proof=proof, header=NEW_PIN, data=b"", pin=pin, **keys),
    ])  # fmt: skip
    cipher = Cipher(card.cipher, crypto.session_key_pboc(Cipher(card.cipher, udk_enc), 7))
    for command, clear in ((secret, b"\x00\x10"), (change, crypto.pin_change_block(PIN("246802"), udk_ac[4:8]))):
        assert crypto.unpad2(cipher.decrypt(command[5:-4])) == bytes([len(clear)]) + clear
    assert plain[5:-4] == b"\x00\x10"
    for command in (plain, secret, change):
        assert command[4] == len(command) - 5
        covered = crypto.script_mac_input(command[:5], atc=7, cryptogram=arqc, data=command[5:-4])
        assert session(7, udk_mac, card).script_mac(covered) == command[-4:]


def test_a_script_comes_before_the_answer_and_does_not_cost_it(hsm):
    (proof,) = hsm.verify_arqcs([arqc_check(hsm)])
    job = script(hsm, proof=proof)
    assert hsm.make_scripts([job]) == hsm.make_scripts([job])
    assert len(hsm.make_arpcs([(proof, b"00")])) == 1
    with pytest.raises(KeyUseError, match="proof"):
        hsm.make_scripts([job])


def test_every_payment_makes_another_mac(hsm):
    other = session(8, crypto.udk_option_a(Cipher(crypto.Algorithm.TDES, IMK), PAN, "01")).cryptogram(DATA)
    proofs = hsm.verify_arqcs([arqc_check(hsm), arqc_check(hsm, pan=PAN, atc=8, arqc=other)])
    one, two = hsm.make_scripts([script(hsm, proof=proof) for proof in proofs])
    assert one[:-4] == two[:-4]
    assert one[-4:] != two[-4:]


def test_no_script_without_a_live_proof_of_a_card(hsm):
    (final,) = hsm.verify_arqcs([arqc_check(hsm, final=True)])
    (foreign,) = SoftHSM(LMKEY).verify_arqcs([arqc_check(hsm)])
    good = script(hsm)
    for proof in (final, foreign):
        with pytest.raises(KeyUseError, match="proof"):
            hsm.make_scripts([good, script(hsm, proof=proof)])
    check, key = hsm._proofs[good.proof.ticket]
    hsm._proofs[good.proof.ticket] = (altered(check, scheme=KeyScheme.SUK), key)
    with pytest.raises(KeyUseError, match="phone"):
        hsm.make_scripts([good])


def pin_of(hsm, **changes):
    block = pin_block(PINBlockFormat.ISO_0, KEY, pan="6228000100001")
    return ScriptPIN(**{"block": block, "key": known(hsm, KeyUsage.PIK)} | changes)


REFUSED = [  # what is asked, error
    ({"header": b"\x04\xda\x9f"}, DecodeError),
    ({"header": bytes.fromhex("04DA9F790A")}, DecodeError),
    ({"header": bytes.fromhex("80DA9F79")}, DecodeError),  # no secure messaging
    ({"header": bytes.fromhex("0CDA9F79")}, DecodeError),
    ({"data": bytes(252)}, DecodeError),
    ({"enciphered": True}, KeyUseError),  # without IMK_ENC
    ({"header": NEW_PIN, "data": b"123456"}, KeyUseError),  # a PIN in clear
    ({"header": NEW_PIN, "data": b""}, KeyUseError),
]


@pytest.mark.parametrize(("changes", "error"), REFUSED, ids=str)
def test_commands_that_are_none(hsm, changes, error):
    with pytest.raises(error):
        hsm.make_scripts([script(hsm, **changes)])


@pytest.mark.parametrize("header", ["04DA9F79", "84240001", "84240000"])
def test_a_pin_goes_into_a_pin_change_only(hsm, header):
    keys = {"imk_enc": known(hsm, KeyUsage.IMK_ENC), "pin": pin_of(hsm), "data": b""}
    with pytest.raises(KeyUseError, match="PIN CHANGE"):
        hsm.make_scripts([script(hsm, header=bytes.fromhex(header), **keys)])
    assert hsm.make_scripts([script(hsm, header=NEW_PIN, **keys)])[0] is not None


@pytest.mark.parametrize(
    "block", [bytes(8), b"", pin_block(PINBlockFormat.ISO_0, KEY)], ids=["random", "none", "another card's"]
)
def test_a_block_that_cannot_be_read_is_a_value(hsm, block):
    keys = {"header": NEW_PIN, "data": b"", "imk_enc": known(hsm, KeyUsage.IMK_ENC)}
    good, bad = script(hsm, pin=pin_of(hsm), **keys), script(hsm, pin=pin_of(hsm, block=block), **keys)
    first, none, last = hsm.make_scripts([good, bad, good])
    assert (first, none) == (last, None)


def test_keys_of_another_kind(hsm):
    sm4 = known(hsm, KeyUsage.IMK_MAC, KEY, SM4)
    for changes in ({"imk_mac": known(hsm, KeyUsage.IMK_ENC)}, {"imk_mac": sm4}, {"imk_mac": known(hsm, KeyUsage.MAK)}):
        with pytest.raises(KeyUseError):
            hsm.make_scripts([script(hsm, **changes)])
    with pytest.raises(IntegrityError):
        hsm.make_scripts([script(hsm, imk_mac=known(hsm, KeyUsage.IMK_MAC)[:-1] + "0")])
