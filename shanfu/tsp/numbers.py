"""Numbers: making token numbers and PARs, and the only way in and out for PANs.

A PAN comes from an issuer sealed under the key that we share with it, and lies sealed in our books; a token's number goes to
its requestor sealed under the key that we share with that one. Nothing here is logged, and every clear number lives in one
function. Sources: EMVCo's public pages (PAR), ISO/IEC 7812-1 (check digit); forms are those of `shanfu.tokens`.
"""

from typing import Final

from shanfu.errors import DecodeError, IntegrityError
from shanfu.hosts import LOOKUP, SEAL
from shanfu.hsm import HSM
from shanfu.pan import PAN
from shanfu.tokens import PAR, token_number
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.config import pan_label
from shanfu.tsp.requestors import RangeRow, RequestorState
from shanfu.tsp.vault import BY_ACCOUNT, BY_NUMBER, CardRow, PARRow, TokenRow, number_context, pan_context

__all__ = ["Numbers"]

TOKEN_DIGITS: Final = 16
DRAWN: Final = 4  # numbers drawn at once: the chance that a range half full has none free among them is one in sixteen
DRAWS: Final = 16  # and after so many draws it is as good as full
PAR_DRAWN: Final = 24  # bytes for 25 characters: 192 bits against 129, so no character is more likely than another
ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Numbers:
    """Token numbers, PARs and sealed PANs, through the HSM."""

    def __init__(self, hsm: HSM, bin_controller: str) -> None:
        self._hsm, self._bin_controller = hsm, bin_controller

    def found(self, books: TSPBooks, text: str) -> str:
        """Return the keyed hash under which something is found in our books."""
        return self._hsm.lookup(books.keys.current(LOOKUP), [text.encode()])[0]

    # -- cards ---------------------------------------------------------------------------------------------------------

    def open_pan(self, books: TSPBooks, sealed: str, *, issuer: str, card: str) -> PAN:
        """Open a PAN as an issuer sent it; raises IntegrityError when it is not his, of this card, and a PAN."""
        label = pan_label(issuer)
        books.keys.load([label])
        try:
            [digits] = self._hsm.unseal(books.keys.current(label), [(bytes.fromhex(sealed), f"pan/{card}".encode())])
            return PAN(digits.decode())
        except (ValueError, DecodeError) as fault:
            raise IntegrityError(f"PAN of {issuer}: what was sealed is none ({type(fault).__name__})") from None

    def map_pan(self, books: TSPBooks, row: CardRow, pan: PAN) -> None:
        """Give a card's row its number: sealed for the row's next generation."""
        row.generation += 1
        row.pan, row.pan_last4 = self.found(books, pan.digits), pan.last4
        [row.pan_sealed] = self._hsm.seal(books.keys.current(SEAL), [(pan.digits.encode(), pan_context(row))])

    def is_token(self, books: TSPBooks, pan: PAN, issuer: str) -> bool:
        """Whether a number lies in one of the issuer's token ranges: then it is no PAN."""
        return any(pan.digits.startswith(row.bin) for row in books.ranges_of(issuer))

    # -- accounts ------------------------------------------------------------------------------------------------------

    def par_of(self, books: TSPBooks, issuer: str, group: str, *, pan: PAN) -> str:
        """Return the PAR of an account's card, made when it is met for the first time."""
        row = self._par_row(books, self._account(books, issuer, group, pan=pan))
        return row.par if row else self.keep_par(books, issuer, group, pan=pan, par=self._new_par())

    def keep_par(self, books: TSPBooks, issuer: str, group: str, *, pan: PAN, par: str) -> str:
        """Put an account's PAN under a PAR: a new one, or that of the PAN before. One that it has already stays."""
        account = self._account(books, issuer, group, pan=pan)
        row = self._par_row(books, account) or books.pars.add(PARRow(0, account, par, books.now_ms))
        return row.par

    def _account(self, books: TSPBooks, issuer: str, group: str, *, pan: PAN) -> str:
        return self.found(books, f"{issuer}|{group}|{pan.digits}")

    def _par_row(self, books: TSPBooks, account: str) -> PARRow | None:
        books.pars.load(BY_ACCOUNT, [account])
        return books.pars.find(BY_ACCOUNT, account)

    def _new_par(self) -> str:
        value, characters = int.from_bytes(self._hsm.random(PAR_DRAWN)), ""
        for _ in range(25):
            value, digit = divmod(value, len(ALPHABET))
            characters += ALPHABET[digit]
        return str(PAR(self._bin_controller + characters))

    # -- tokens --------------------------------------------------------------------------------------------------------

    def range_for(self, books: TSPBooks, issuer: str, pan: PAN) -> RangeRow | None:
        """Return the token range for a card: one that names its BIN, else one for all cards of the issuer."""
        active = [row for row in books.ranges_of(issuer) if row.state == RequestorState.ACTIVE]
        named = [row for row in active if any(pan.digits.startswith(bin_) for bin_ in row.card_bins.split())]
        return next(iter(named or [row for row in active if not row.card_bins]), None)

    def number(self, books: TSPBooks, token: TokenRow, range_: RangeRow) -> bool:
        """Give a token a number of this range that no token has or had; False when none is found: the range is used up."""
        for _ in range(DRAWS):
            for digits, found in self._drawn(books, range_.bin):
                if books.tokens.find(BY_NUMBER, found) is None:
                    token.number, token.token_last4 = found, digits[-4:]
                    sealed = self._hsm.seal(books.keys.current(SEAL), [(digits.encode(), number_context(token.token))])
                    token.number_sealed = sealed[0]
                    return True
        return False

    def _drawn(self, books: TSPBooks, bin_: str) -> list[tuple[str, str]]:
        most = 10 ** (TOKEN_DIGITS - 1 - len(bin_))
        serials = [int.from_bytes(self._hsm.random(8)) % most for _ in range(DRAWN)]
        drawn = [token_number(bin_, serial, length=TOKEN_DIGITS).digits for serial in serials]
        found = self._hsm.lookup(books.keys.current(LOOKUP), [digits.encode() for digits in drawn])
        books.tokens.load(BY_NUMBER, found)
        return list(zip(drawn, found, strict=True))

    def for_requestor(self, books: TSPBooks, token: TokenRow) -> str:
        """Return a token's number sealed for its requestor, in hex; the context is the token's reference."""
        label = pan_label(token.trid)
        books.keys.load([label])
        [digits] = self._hsm.unseal(books.keys.current(SEAL), [(token.number_sealed, number_context(token.token))])
        [sealed] = self._hsm.seal(books.keys.current(label), [(digits, f"token/{token.token}".encode())])
        return sealed.hex()

    def reference(self) -> str:
        """Return a new token reference: 32 hex characters that say nothing."""
        return self._hsm.random(16).hex()
