"""The terminal: a point of sale that takes waved, inserted and swiped cards and phones, and speaks to its acquirer.

In the world: the box on the counter, with its PIN pad and its readers. A cashier asks it for payments, voids, refunds and
the close of the day; it asks the card (APDUs), the PIN pad (blocks and MACs) and the acquirer (ISO 8583, POS dialect).

Files in reading order: `terminal.py` (what it can do), `payment.py` (the main job).
The wave: `contactless.py`, `entry_point.py`, `kernel7.py`, `cvm.py`, `offline.py` (approval by the card).
The insert: `contact.py`, `chip.py`, `selection.py`, `reading.py`, `authentication.py`, `restrictions.py`, `verification.py`,
`risk.py`, `action.py`, `completion.py`. The swipe: `swipe.py`.
Of all: `endings.py`, `host.py` (asking the acquirer), `readiness.py` (what goes before), `pos_messages.py`, `journal.py` (what
it keeps), `downloads.py`, `parameters.py`, `pin_pad.py`, `aftersales.py`, `management.py`, `config.py`, `outcome.py`,
`receipt.py`, `slip.py`, `desk.py`, `masking.py`, `reader.py`.
"""

from shanfu.terminal.config import PBOC_2_0, PBOC_3_0, AIDParameters, ReaderKind, TerminalConfig, unionpay_aids
from shanfu.terminal.cvm import choose_cvm
from shanfu.terminal.desk import ACQUIRER, CARD, PIN_PAD
from shanfu.terminal.endings import Ending
from shanfu.terminal.entry_point import Candidate, Preprocessed, candidates, preprocess
from shanfu.terminal.journal import Journal, JournalLine, Kind, State, Transaction
from shanfu.terminal.kernel7 import GPO_STATUS, CardAnswer, Route, fdda_failed, read_gpo, route_after_gpo
from shanfu.terminal.masking import mask_apdu
from shanfu.terminal.outcome import Outcome, Reason, UIMessage
from shanfu.terminal.parameters import Parameters
from shanfu.terminal.pin_pad import (
    CheckMAC,
    EnterOfflinePIN,
    EnterPIN,
    KeysLoaded,
    LoadKeys,
    MACChecked,
    MACMade,
    MakeMAC,
    OfflinePINEntered,
    PINCancelled,
    PINEntered,
    PinPad,
    Refused,
)
from shanfu.terminal.pos_messages import matches
from shanfu.terminal.reader import PresentedCard, Reader, TwoCards
from shanfu.terminal.receipt import Receipt, print_receipt
from shanfu.terminal.terminal import Terminal

__all__ = [
    "ACQUIRER", "CARD", "GPO_STATUS", "PBOC_2_0", "PBOC_3_0", "PIN_PAD", "AIDParameters", "Candidate", "CardAnswer",
    "CheckMAC", "Ending", "EnterOfflinePIN", "EnterPIN", "Journal", "JournalLine", "KeysLoaded", "Kind", "LoadKeys",
    "MACChecked", "MACMade", "MakeMAC", "OfflinePINEntered", "Outcome", "PINCancelled", "PINEntered", "Parameters", "PinPad",
    "Preprocessed", "PresentedCard", "Reader", "ReaderKind", "Reason", "Receipt", "Refused", "Route", "State", "Terminal",
    "TerminalConfig", "Transaction", "TwoCards", "UIMessage", "candidates", "choose_cvm", "fdda_failed", "mask_apdu",
    "matches", "preprocess", "print_receipt", "read_gpo", "route_after_gpo", "unionpay_aids",
]  # fmt: skip
