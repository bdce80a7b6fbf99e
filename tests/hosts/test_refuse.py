"""A refusal is the last thing a host can do for a message: whatever came, `refuse` answers or is silent, and never raises."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.acquirer import Acquirer, AcquirerConfig
from shanfu.errors import DecodeError
from shanfu.hsm import LMK, Algorithm, KeyUsage, SoftHSM
from shanfu.issuer import Issuer, IssuerConfig
from shanfu.links import Host, Inbound
from shanfu.network import Network, NetworkConfig
from tests.budget import examples
from tests.iso8583.samples import CUPS_FRAMES, POS_FRAMES

HSM = SoftHSM(LMK(bytes(range(32))))
NETWORK, TERMINAL = "00010000", "pos/1"
FAULTS = [DecodeError("bad"), RuntimeError("broken")]


def acquirer(_: bool) -> Host:
    return Acquirer(AcquirerConfig(institution="99012900"), HSM)


def issuer(with_key: bool) -> Host:
    host = Issuer(IssuerConfig(institution="99010000"), HSM)
    host._mak = HSM.generate(KeyUsage.MAK, Algorithm.TDES) if with_key else None
    return host


def network(with_key: bool) -> Host:
    host = Network(NetworkConfig(), HSM)
    if with_key:
        host._out.maks[NETWORK] = HSM.generate(KeyUsage.MAK, Algorithm.SM4)
    return host


SPOKEN = [
    (acquirer, TERMINAL, list(POS_FRAMES.values()), 13, 2),
    (acquirer, NETWORK, list(CUPS_FRAMES.values()), 50, 4),
    (issuer, NETWORK, list(CUPS_FRAMES.values()), 50, 4),
    (network, NETWORK, list(CUPS_FRAMES.values()), 50, 4),
]


@pytest.mark.parametrize("spoken", SPOKEN, ids=["pos", "acquirer", "issuer", "network"])
@settings(max_examples=examples(150, heavy=8_000), deadline=None)
@given(data=st.data())
def test_refuse_never_raises(spoken: tuple[Callable[[bool], Host], str, list[bytes], int, int], data: st.DataObject) -> None:
    make, station, frames, head, width = spoken
    host = make(data.draw(st.booleans()))
    frame = bytearray(data.draw(st.sampled_from(frames)))
    if data.draw(st.booleans()):
        mti = data.draw(st.from_regex(r"0[0-9]{3}", fullmatch=True))
        frame[head : head + width] = bytes.fromhex(mti) if width == 2 else mti.encode()
    for at, flip in data.draw(st.lists(st.tuples(st.integers(0, len(frame) - 1), st.integers(1, 255)), max_size=3)):
        frame[at] ^= flip
    raw = bytes(frame[: data.draw(st.sampled_from([len(frame), len(frame), len(frame) // 2]))])
    for fault in FAULTS:
        turn = host.refuse(Inbound(station, raw), fault, 1_767_600_000_000)
        assert len(turn.outbound) <= 1
        assert len(turn.events) == 1
