"""Cryptograms: right ones give a proof, a proof buys one answer, what is final buys none."""

import pytest

from shanfu import crypto
from shanfu.crypto import Cipher
from shanfu.errors import KeyUseError
from shanfu.hsm import (
    KeyUsage,
    Proof,
    SoftHSM,
)
from shanfu.hsm import soft as soft_module
from tests.hsm.box import (
    ARPC,
    ARQC,
    DATA,
    IMK,
    LMKEY,
    PAN,
    SM4,
    UDK,
    arqc_check,
    known,
)


def test_the_published_cryptogram_buys_the_published_answer(hsm):
    (proof,) = hsm.verify_arqcs([arqc_check(hsm)])
    assert hsm.make_arpcs([(proof, b"01")]) == [ARPC]


def test_a_laboratory_cards_own_key_does_the_same(hsm):
    (proof,) = hsm.verify_arqcs([arqc_check(hsm, imk=known(hsm, KeyUsage.UDK_AC, UDK), pan="0" * 12)])
    assert hsm.make_arpcs([(proof, b"01")]) == [ARPC]


def test_sm4_cards(hsm):
    imk = Cipher(crypto.Algorithm.SM4, IMK)
    key = crypto.session_key_pboc(Cipher(crypto.Algorithm.SM4, crypto.udk_option_a(imk, PAN, "01")), 7)
    session = crypto.SessionKey(crypto.CardAlgorithm.SM4, key)
    arqc = session.cryptogram(DATA)
    check = arqc_check(hsm, imk=known(hsm, KeyUsage.IMK_AC, IMK, SM4), algorithm=SM4, pan=PAN, atc=7, arqc=arqc)
    (proof,) = hsm.verify_arqcs([check])
    assert hsm.make_arpcs([(proof, b"00")]) == [session.arpc(arqc, b"00")]


FALSE = [{"pan": "6228000100002"}, {"psn": "02"}, {"atc": 0x0241}, {"data": DATA[:-1]}, {"arqc": bytes(8)}, {"arqc": ARQC[:7]},
         {"arqc": b""}]  # fmt: skip


@pytest.mark.parametrize("changes", FALSE)
def test_a_false_cryptogram_gives_no_proof_and_spoils_no_neighbour(hsm, changes):
    good = arqc_check(hsm)
    first, false, last = hsm.verify_arqcs([good, arqc_check(hsm, **changes), good])
    assert false is None
    assert hsm.make_arpcs([(last, b"01"), (first, b"05")])[0] == ARPC


def test_a_proof_buys_once(hsm):
    (proof,) = hsm.verify_arqcs([arqc_check(hsm)])
    hsm.make_arpcs([(proof, b"00")])
    with pytest.raises(KeyUseError, match="spent"):
        hsm.make_arpcs([(proof, b"00")])


def test_a_batch_with_one_bad_proof_spends_none(hsm):
    one, two = hsm.verify_arqcs([arqc_check(hsm)] * 2)
    for bad in (Proof(b"x" * 16), one):
        with pytest.raises(KeyUseError):
            hsm.make_arpcs([(one, b"00"), (two, b"00"), (bad, b"00")])
    assert len(hsm.make_arpcs([(one, b"00"), (two, b"00")])) == 2


def test_a_proof_is_bound_to_its_cryptogram(hsm):
    """Two taps verified together: each proof answers its own, in whatever order they are spent."""
    imk = Cipher(crypto.Algorithm.TDES, IMK)
    banks = crypto.IssuerCryptograms(crypto.CardAlgorithm.TDES)
    taps, answers = [], []
    for atc in (5, 6):
        session = crypto.SessionKey(crypto.CardAlgorithm.TDES, banks.session_key(imk, pan=PAN, psn="00", atc=atc))
        arqc = session.cryptogram(DATA)
        taps.append(arqc_check(hsm, pan=PAN, psn="00", atc=atc, arqc=arqc))
        answers.append(session.arpc(arqc, b"00"))
    first, second = hsm.verify_arqcs(taps)
    assert hsm.make_arpcs([(second, b"00"), (first, b"00")]) == answers[::-1]


def test_another_hsm_does_not_take_the_proof(hsm):
    (proof,) = hsm.verify_arqcs([arqc_check(hsm)])
    with pytest.raises(KeyUseError):
        SoftHSM(LMKEY).make_arpcs([(proof, b"00")])


def test_unanswered_proofs_are_bounded(hsm, monkeypatch):
    monkeypatch.setattr(soft_module, "LIMIT_PROOFS", 3)
    proofs = hsm.verify_arqcs([arqc_check(hsm)] * 5)
    assert len(hsm.make_arpcs([(proof, b"00") for proof in proofs[2:]])) == 3
    with pytest.raises(KeyUseError):
        hsm.make_arpcs([(proofs[0], b"00")])


def test_a_master_key_serves_its_own_cipher_only(hsm):
    with pytest.raises(KeyUseError):
        hsm.verify_arqcs([arqc_check(hsm, algorithm=SM4)])


def test_a_final_cryptogram_is_judged_and_leaves_nothing_behind(hsm):
    """A TC, an AAC, a phone's: nobody will ask for an answer, so no proof waits for one."""
    final, false = arqc_check(hsm, final=True), arqc_check(hsm, final=True, arqc=bytes(8))
    right, wrong, open_one = hsm.verify_arqcs([final, false, arqc_check(hsm)])
    assert (right is not None, wrong) == (True, None)
    assert len(hsm._proofs) == 1
    with pytest.raises(KeyUseError):
        hsm.make_arpcs([(right, b"00")])
    assert hsm.make_arpcs([(open_one, b"01")]) == [ARPC]
