"""The contact side's ways in: the directory (PSE) that lists the applications, and which data GET PROCESSING OPTIONS answers.

A terminal selects 1PAY.SYS.DDF01, reads the directory's records until there is no more, and makes its candidate list; or it
tries the names it knows. GPO then names the records to read: those of debit and credit, or those of e-cash if the terminal
offers e-cash and the balance covers the amount.

Called by `card.py` (directory) and `initiate.py` (GPO data). Sources: EMV Book 1 12.2 and 12.3.2, JR/T 0025.13 (e-cash).
"""

from collections.abc import Mapping, Sequence

from shanfu.card.chip import Chip, refuse
from shanfu.card.image import GPOData, Interface
from shanfu.emv import DirectoryEntry, directory_record, pse_fci
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord

__all__ = ["ContactDirectory", "contact_options"]

READ_RECORD = (0x00, 0xB2)


class ContactDirectory:
    """The PSE while it is selected: one record an application, in the file `sfi`."""

    def __init__(self, entries: Sequence[DirectoryEntry], sfi: int) -> None:
        self._records = [directory_record([entry]) for entry in entries]
        self._sfi = sfi

    def select(self) -> ResponseAPDU:
        """Answer SELECT of the directory (EMV B1 12.2.2)."""
        return ResponseAPDU(pse_fci(self._sfi))

    def answer(self, command: CommandAPDU) -> ResponseAPDU:
        """Answer READ RECORD; 6A83 after the last one (EMV B1 12.3.2 step 2)."""
        if (command.cla, command.ins) != READ_RECORD:
            return refuse(StatusWord.CONDITIONS_NOT_SATISFIED)
        if command.p2 & 7 != 4:
            return refuse(StatusWord.WRONG_P1P2)
        if command.data:
            return refuse(StatusWord.WRONG_LENGTH)
        if command.p2 >> 3 != self._sfi:
            return refuse(StatusWord.FILE_NOT_FOUND)
        if not 1 <= command.p1 <= len(self._records):
            return refuse(StatusWord.RECORD_NOT_FOUND)
        return ResponseAPDU(self._records[command.p1 - 1])


def contact_options(chip: Chip, said: Mapping[int, bytes]) -> tuple[GPOData, bool]:
    """Choose the GPO data, and say whether they are those of e-cash (JR/T 0025.13).

    E-cash needs 9F7A = 01, the card's currency, and an amount within single limit and balance.
    """
    image = chip.image
    amount, balance, single = said.get(0x9F02, b""), chip.live.balance, chip.value(0x9F78)
    ecash = (
        image.ecash is not None
        and said.get(0x9F7A) == b"\x01"
        and said.get(0x5F2A) in image.currencies[:1]
        and amount.hex().isdecimal()
        and balance is not None
        and amount <= balance  # n12 compare as bytes do
        and (single is None or amount <= single)
    )
    return (image.ecash, True) if ecash and image.ecash is not None else (image.gpo[Interface.CONTACT], False)
