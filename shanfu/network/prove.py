"""Everything that needs a secret, asked of the HSM once per kind for a whole batch; its verdicts are facts for `decide`.

MACs and PINs are tried under the newest key, and what fails again under the one before while the switch-over window lasts; a
MAK whose reset is not yet confirmed counts as newest, since the member may speak under it already.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shanfu.errors import IntegrityError
from shanfu.hsm import HSM, KeyBlock, MACAlgorithm, MACJob, PINBlockFormat, PINTranslation
from shanfu.iso8583 import (
    MAC_FIELDS,
    InterbankFrame,
    Message,
    encode_interbank,
    mac_algorithm,
    mac_input,
    prepare_interbank,
)
from shanfu.links import Outbound
from shanfu.network.books import NetworkBooks
from shanfu.network.config import LOOKUP, SEAL, mak_label, pik_label
from shanfu.network.requests import Arrival

__all__ = ["Letter", "Prover"]

X9_19: Final = MACAlgorithm.X9_19.value  # what our 3DES MAKs compute; a message that announces SM4 cannot be right
PIN_FORMS: Final = {"1": PINBlockFormat.X98_NO_PAN, "2": PINBlockFormat.ISO_0}  # DE53 first digit (Q/CUP 006 DE53)


@dataclass(frozen=True, slots=True)
class Letter:
    """A frame on its way to a station; `key` makes its DE128, None leaves it without."""

    station: str
    frame: InterbankFrame
    key: KeyBlock | None = None


class Prover:
    """The network's side of its HSM."""

    def __init__(self, hsm: HSM) -> None:
        self.hsm = hsm

    # -- messages ------------------------------------------------------------------------------------------------------

    def right_macs(self, arrivals: Sequence[Arrival], books: NetworkBooks) -> list[bool]:
        """Say for each message whether DE128 is right under a key of its station."""
        right = [False] * len(arrivals)
        keys = [_mac_keys(books, arrival.station) for arrival in arrivals]
        jobs = [_mac_job(arrival.message) for arrival in arrivals]
        for nth in range(max(map(len, keys), default=0)):
            places = [at for at, job in enumerate(jobs) if job is not None and not right[at] and nth < len(keys[at])]
            asked = [
                (MACJob(key=keys[at][nth], algorithm=MACAlgorithm.X9_19, data=job[0]), job[1])
                for at in places
                if (job := jobs[at]) is not None
            ]
            for at, good in zip(places, self.hsm.verify_macs(asked) if asked else [], strict=True):
                right[at] = good
        return right

    def right_mac(self, message: Message, keys: Iterable[KeyBlock]) -> bool:
        """Say whether DE128 is right under one of these keys."""
        job = _mac_job(message)
        return job is not None and any(
            self.hsm.verify_macs([(MACJob(key=key, algorithm=MACAlgorithm.X9_19, data=job[0]), job[1])])[0] for key in keys
        )

    def post(self, letters: Sequence[Letter]) -> list[Outbound]:
        """Return the finished frames, all MACs made at once; a message type that has no MAC goes without."""
        posted, waiting, jobs = [], [], []
        for place, letter in enumerate(letters):
            if letter.key is None or letter.frame.message.mti[:3] not in MAC_FIELDS:
                posted.append(Outbound(letter.station, encode_interbank(letter.frame)))
                continue
            unsealed = prepare_interbank(letter.frame)
            posted.append(Outbound(letter.station, b""))
            waiting.append((place, unsealed))
            jobs.append(MACJob(key=letter.key, algorithm=MACAlgorithm.X9_19, data=unsealed.mab))
        for (place, unsealed), mac in zip(waiting, self.hsm.make_macs(jobs) if jobs else [], strict=True):
            posted[place] = Outbound(letters[place].station, unsealed.seal(mac))
        return posted

    # -- cards ---------------------------------------------------------------------------------------------------------

    def lookups(self, arrivals: Sequence[Arrival], books: NetworkBooks) -> None:
        """Fill in each message's card: the keyed hash of its PAN; without a PAN there is none."""
        with_pan = [arrival for arrival in arrivals if arrival.pan]
        if not with_pan:
            return
        hashes = self.hsm.lookup(books.keys.current(LOOKUP), [arrival.pan.encode() for arrival in with_pan])
        for arrival, card in zip(with_pan, hashes, strict=True):
            arrival.card = card

    def pins(self, wanted: Sequence[tuple[Arrival, str]], books: NetworkBooks) -> list[bytes | None]:
        """Move each message's PIN block from its sender's key to the key of the station named beside it."""
        moved: list[bytes | None] = [None] * len(wanted)
        keys = [books.candidates(pik_label(arrival.station)) for arrival, _ in wanted]
        for nth in range(max(map(len, keys), default=0)):
            places = [at for at in range(len(wanted)) if moved[at] is None and nth < len(keys[at])]
            jobs = [_pin_job(*wanted[at], key=keys[at][nth], books=books) for at in places]
            for at, block in zip(places, self.hsm.translate_pins(jobs) if jobs else [], strict=True):
                moved[at] = block
        return moved

    # -- what is kept --------------------------------------------------------------------------------------------------

    def seal(self, items: Sequence[tuple[bytes, bytes]], books: NetworkBooks) -> list[bytes]:
        """Seal each (plain, context)."""
        return self.hsm.seal(books.keys.current(SEAL), items) if items else []

    def unseal(self, items: Sequence[tuple[bytes, bytes]], books: NetworkBooks) -> list[bytes | None]:
        """Open each (sealed, context); one that was tampered with is None and spoils no other."""
        if not items:
            return []
        key = books.keys.current(SEAL)
        try:
            return list(self.hsm.unseal(key, items))
        except IntegrityError:
            return [self._unseal_one(key, item) for item in items]

    def _unseal_one(self, key: KeyBlock, item: tuple[bytes, bytes]) -> bytes | None:
        try:
            return self.hsm.unseal(key, [item])[0]
        except IntegrityError:
            return None


def _mac_keys(books: NetworkBooks, station: str) -> list[KeyBlock]:
    """The keys a station's message may be under: the one whose reset it is confirming, then those in force."""
    reset, installed = books.reset(station), books.candidates(mak_label(station))
    return [KeyBlock(reset.block), *installed] if reset and reset.usage == "MAK" else installed


def _mac_job(message: Message) -> tuple[bytes, bytes] | None:
    """Return the MAC input and DE128 of a message, or None when it cannot be right."""
    mac = message.fields.get(128)
    if not isinstance(mac, str) or len(mac) != 8 or not mac.isascii():
        return None
    if message.mti[:3] not in MAC_FIELDS or mac_algorithm(message) != X9_19:
        return None
    return mac_input(message), mac.encode("ascii")


def _pin_job(arrival: Arrival, station: str, *, key: KeyBlock, books: NetworkBooks) -> PINTranslation:
    message = arrival.message
    form = PIN_FORMS[message.text(53)[:1]]
    return PINTranslation(
        block=message.binary(52),
        from_key=key,
        to_key=books.candidates(pik_label(station))[0],
        from_format=form,
        to_format=form,
        pan=arrival.pan,
    )
