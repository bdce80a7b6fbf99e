"""Very many tokens in the token service's books, each of a card of the bank, with a key set; and the phones that hold them.

The tokens' master key is of a generation of its own and formed from known components, so that the load can make each phone's
cryptograms as the phone would: token key, limited-use key, session key of the tap, MAC (`shanfu-1`).
"""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, get_type_hints

import msgspec

from benchmarks.frames import STRIDE, TAGS
from benchmarks.people import EXPIRY as CARD_EXPIRY
from benchmarks.people import Deck
from shanfu import cloud, tsp
from shanfu.clock import local
from shanfu.crypto import Algorithm as Block
from shanfu.crypto import CardAlgorithm, Cipher, SessionKey, odd_parity, udk_option_a
from shanfu.crypto.luk import cryptogram_key, derive_key
from shanfu.emv import KeyIndexData, cryptogram_input, encode_field55
from shanfu.hosts import LOOKUP, SEAL, install_key
from shanfu.hsm import Algorithm, KeyUsage, SoftHSM
from shanfu.messages import KeyPolicy, TokenState
from shanfu.store import Store
from shanfu.tokens import KeyScheme, key_index_bytes, key_index_now, token_number
from shanfu.tsp.key_sets import CounterRow, KeySetRow, KeySetState
from shanfu.tsp.vault import CardRow, CardState, TokenRow, number_context, pan_context

__all__ = ["BIN", "DKI", "EXPIRY", "PSN", "TRID", "Phones", "TokenDeck", "policy", "populate", "token_of"]

BIN: Final = "625094"
DKI: Final = 2  # the world's own master key, which nobody knows, is generation 1
EXPIRY: Final = CARD_EXPIRY
PSN: Final = "00"
TRID: Final = "90100000001"
ISSUER: Final = "99010000"
USES: Final = 1000  # of one key set: no load here taps a phone so often
DAY_MS: Final = 86_400_000
AT_ONCE: Final = 5_000  # rows of one transaction while the vault is filled
R = TypeVar("R")


def policy() -> KeyPolicy:
    """Return the issuer's rule for these tokens' keys: ten uses, as is usual."""
    return KeyPolicy(max_uses=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDeck:
    """The tokens numbered 0 to `count` - 1 of one master key; `index` is that of the key set which each of them has."""

    count: int
    index: str
    imk: bytes = field(repr=False)

    def number(self, number: int) -> str:
        """Return a token's number."""
        return token_number(BIN, number).digits

    @staticmethod
    def reference(number: int) -> str:
        """Return a token's reference."""
        return f"{number:032x}"

    @staticmethod
    def device(number: int) -> str:
        """Return the name of the phone that holds it."""
        return f"{number:032x}"

    def public(self) -> dict[str, Any]:
        """Return what another process makes the same deck from."""
        return {"count": self.count, "index": self.index, "imk": self.imk.hex()}

    @classmethod
    def of(cls, told: dict[str, Any]) -> "TokenDeck":
        """Make the deck that another process told of."""
        return cls(count=told["count"], index=told["index"], imk=bytes.fromhex(told["imk"]))


class Phones:
    """The phones of a deck: whose turn it is, and what it says."""

    psn, expiry = PSN, EXPIRY

    def __init__(self, deck: TokenDeck, turn: int = 0) -> None:
        self._deck, self._imk, self._turn = deck, Cipher(Block.TDES, deck.imk), turn
        self._index, self._session = key_index_bytes(deck.index), SessionKey(CardAlgorithm.TDES, bytes(16))
        index = bytes(KeyIndexData(deck.index))
        iad = bytes((7, DKI)) + TAGS[0x9F10][2:] + bytes((len(index),)) + index
        self._tags = TAGS | {0x9F10: iad}

    def next(self, now_ms: int) -> tuple[str, bytes]:
        """Return the number of the next token and DE55 of its next transaction."""
        number, atc = self._turn * STRIDE % self._deck.count, self._turn // self._deck.count + 1
        self._turn += 1
        token = self._deck.number(number)
        date = bytes.fromhex(local(now_ms).strftime("%y%m%d"))
        values = self._tags | {0x9A: date, 0x9F37: os.urandom(4), 0x9F36: atc.to_bytes(2)}
        luk = derive_key(KeyScheme.SHANFU_1, Cipher(Block.TDES, udk_option_a(self._imk, token, PSN)), self._index)
        self._session.rekey(cryptogram_key(KeyScheme.SHANFU_1, luk, atc))
        return token, encode_field55(values | {0x9F26: self._session.cryptogram(cryptogram_input(1, values))})


def populate(store: Store, service: SoftHSM, key_cloud: SoftHSM, *, cards: Deck, count: int, now_ms: int) -> TokenDeck:
    """Give so many cards of a bank a token each, active and with a key set, straight in the books of a household."""
    parts = [odd_parity(secrets.token_bytes(16)) for _ in range(2)]
    imk = bytes(a ^ b for a, b in zip(*parts, strict=True))
    for hsm, label, prefix in (
        (service, tsp.imk_label(BIN, DKI), tsp.PREFIX),
        (key_cloud, cloud.imk_label(BIN, DKI), cloud.PREFIX),
    ):
        install_key(store, label, hsm.form(KeyUsage.IMK_AC, Algorithm.TDES, parts), now_ms=now_ms, prefix=prefix)
    deck = TokenDeck(count=count, index=key_index_now(now_ms, 0), imk=imk)
    for start in range(0, count, AT_ONCE):
        books = tsp.TSPBooks(store.begin(), now_ms=now_ms)
        _enter(books, service, deck, cards=cards, numbers=range(start, min(start + AT_ONCE, count)))
        books.save()
        books.tx.commit()
    return deck


def _enter(books: tsp.TSPBooks, hsm: SoftHSM, deck: TokenDeck, *, cards: Deck, numbers: Sequence[int]) -> None:
    lookup, seal = books.keys.current(LOOKUP), books.keys.current(SEAL)
    tokens = [books.tokens.add(token_of(deck, number, now_ms=books.now_ms)) for number in numbers]
    behind = [books.cards.add(_card(cards, number, now_ms=books.now_ms)) for number in numbers]
    pans = [cards.pan(number).encode() for number in numbers]
    clear = [deck.number(number).encode() for number in numbers]
    for row, number in zip(tokens, hsm.lookup(lookup, clear), strict=True):
        row.number = number
    contexts = [number_context(row.token) for row in tokens]
    for row, sealed in zip(tokens, hsm.seal(seal, list(zip(clear, contexts, strict=True))), strict=True):
        row.number_sealed = sealed
    for card, pan in zip(behind, hsm.lookup(lookup, pans), strict=True):
        card.pan = pan
    accounts = [pan_context(card) for card in behind]
    for card, sealed in zip(behind, hsm.seal(seal, list(zip(pans, accounts, strict=True))), strict=True):
        card.pan_sealed = sealed
    for row in tokens:
        books.key_sets.add(_key_set(row, deck.index, now_ms=books.now_ms))
        books.counters.add(_filled(CounterRow, token=row.token, sequence=1))


def token_of(deck: TokenDeck, number: int, *, now_ms: int) -> TokenRow:
    """Return the row of a token, as far as it needs no key."""
    return _filled(
        TokenRow, token=deck.reference(number), token_last4=deck.number(number)[-4:], expiry=EXPIRY, psn=PSN, dki=DKI,
        par=_par(number), trid=TRID, issuer=ISSUER, card=f"bench-{number}", generation=1, device=deck.device(number),
        storage="01", assurance="11", state=TokenState.ACTIVE.value, version=1, policy=msgspec.json.encode(policy()),
        atc_allotted=USES, created_ms=now_ms, activated_ms=now_ms, changed_ms=now_ms, expires_ms=now_ms + 365 * DAY_MS,
    )  # fmt: skip


def _card(cards: Deck, number: int, *, now_ms: int) -> CardRow:
    return _filled(
        CardRow, issuer=ISSUER, card=f"bench-{number}", par=_par(number), account_group=f"bench-{number}",
        pan_last4=cards.pan(number)[-4:], generation=1, expiry=CARD_EXPIRY, psn="01", currency="156", label="Bench",
        state=CardState.ACTIVE.value, since_ms=now_ms,
    )  # fmt: skip


def _key_set(token: TokenRow, index: str, *, now_ms: int) -> KeySetRow:
    return _filled(
        KeySetRow, token=token.token, sequence=1, key_index=index, scheme=KeyScheme.SHANFU_1.value, device=token.device,
        atc_first=1, atc_last=USES, max_uses=USES, max_amount=10**9, issued_ms=now_ms, expires_ms=now_ms + DAY_MS,
        state=KeySetState.CURRENT.value,
    )  # fmt: skip


def _par(number: int) -> str:
    return f"SF01{number:025d}"


def _filled(row: type[R], **values: object) -> R:
    """Return a row with these values, and nothing in its other columns."""
    nothing: dict[type, object] = {str: "", int: 0, bytes: b""}
    return row(*(values.get(name, nothing[kind]) for name, kind in get_type_hints(row).items()))
