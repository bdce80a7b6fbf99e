"""Everything that needs a secret, asked of the HSM once per kind for a whole batch; its verdicts are facts for `decide`.

MACs and PINs are tried under the newest key, and what fails again under the one before while the switch-over window lasts; a
MAK whose reset is not yet confirmed counts as newest, since the member may speak under it already.
"""

from collections.abc import Container, Sequence
from typing import Final

from msgspec import Struct

from shanfu.errors import IntegrityError
from shanfu.hosts import LOOKUP, SEAL, VAULT, interbank_trial, mak_label, pik_label, right_macs, seal_interbank, try_keys
from shanfu.hsm import HSM, KeyBlock, PINBlockFormat, PINTranslation, SealedPAN
from shanfu.iso8583 import InterbankFrame, Message
from shanfu.links import Outbound
from shanfu.network.books import NetworkBooks
from shanfu.network.requests import Arrival

__all__ = ["Letter", "PINMove", "Prover"]

PIN_FORMS: Final = {"1": PINBlockFormat.X98_NO_PAN, "2": PINBlockFormat.ISO_0}  # DE53 first digit (Q/CUP 006 DE53)


class Letter(Struct, frozen=True):
    """A frame on its way to a station; `key` makes its DE128, None leaves it without."""

    station: str
    frame: InterbankFrame
    key: KeyBlock | None = None


class PINMove(Struct, frozen=True):
    """A PIN block to be moved from one link's key to another's; `number` is the card's it was made for.

    With `record`, what the vault sealed of a token, the new block is for the PAN inside, which nobody outside the HSM needs.
    """

    message: Message
    number: str
    origin: str
    target: str
    record: bytes = b""

    def __repr__(self) -> str:
        return f"PINMove({self.origin} to {self.target})"


class Prover:
    """The network's side of its HSM."""

    def __init__(self, hsm: HSM, *, inside: Container[str] = ()) -> None:
        self.hsm, self._inside = hsm, inside

    # -- messages ------------------------------------------------------------------------------------------------------

    def right_macs(self, arrivals: Sequence[Arrival], books: NetworkBooks) -> list[bool]:
        """Say for each message whether DE128 is right under a key of its station; what comes from inside needs none."""
        outside = [arrival for arrival in arrivals if arrival.station not in self._inside]
        trials = [interbank_trial(arrival.message, _mac_keys(books, arrival.station)) for arrival in outside]
        right = iter(right_macs(self.hsm, trials))
        return [arrival.station in self._inside or next(right) for arrival in arrivals]

    def right_mac(self, message: Message, keys: Sequence[KeyBlock]) -> bool:
        """Say whether DE128 is right under one of these keys."""
        return right_macs(self.hsm, [interbank_trial(message, keys)])[0]

    def post(self, letters: Sequence[Letter]) -> list[Outbound]:
        """Return the finished frames, all MACs made at once; a type that has none goes without, and to a neighbour no bytes."""
        near = [letter.key is None and letter.station in self._inside for letter in letters]
        far = [(letter.frame, letter.key) for letter, is_near in zip(letters, near, strict=True) if not is_near]
        sealed = iter(seal_interbank(self.hsm, far))
        return [
            Outbound(letter.station, said=letter.frame) if is_near else Outbound(letter.station, next(sealed))
            for letter, is_near in zip(letters, near, strict=True)
        ]

    # -- cards ---------------------------------------------------------------------------------------------------------

    def lookups(self, arrivals: Sequence[Arrival], books: NetworkBooks) -> None:
        """Fill in each message's card, the keyed hash of its number, and that of DE2 beside a token; of none there is none."""
        numbered = [arrival for arrival in arrivals if arrival.number]
        beside = [arrival for arrival in numbered if arrival.token and arrival.pan]
        if not numbered:
            return
        numbers = [arrival.number for arrival in numbered] + [arrival.pan for arrival in beside]
        hashes = self.hsm.lookup(books.keys.current(LOOKUP), [number.encode() for number in numbers])
        for arrival, card in zip(numbered, hashes, strict=False):
            arrival.card = card
        for arrival, account in zip(beside, hashes[len(numbered) :], strict=True):
            arrival.account = account

    def pins(self, moves: Sequence[PINMove], books: NetworkBooks) -> list[bytes | None]:
        """Move these PIN blocks; None for each that cannot be read, or whose record is not this token's."""

        def ask(asked: list[tuple[int, KeyBlock]]) -> Sequence[bytes | None]:
            return self.hsm.translate_pins([_pin_job(moves[at], key=key, books=books) for at, key in asked])

        return try_keys([books.candidates(pik_label(move.origin)) for move in moves], ask, failed=None)

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


def _pin_job(move: PINMove, *, key: KeyBlock, books: NetworkBooks) -> PINTranslation:
    message = move.message
    form = PIN_FORMS[message.text(53)[:1]]
    return PINTranslation(
        block=message.binary(52),
        from_key=key,
        to_key=books.candidates(pik_label(move.target))[0],
        from_format=form,
        to_format=form,
        pan=move.number,
        account=SealedPAN(key=books.keys.current(VAULT), sealed=move.record) if move.record else None,
    )
