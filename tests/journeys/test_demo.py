"""The demo is what a newcomer sees first: its transcript is golden, but for what is different in every world.

To renew it after a change that is meant: SHANFU_GOLDEN=write ./run test tests/journeys/test_demo.py
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GOLDEN = HERE / "demo.golden"

# fmt: off
CHANGING = [  # what differs from world to world, and what stands for it
    (re.compile(r"\b\d{10}\.\d{6}\.\d{8}\.\d{8}\b"),                       "<name>"),     # interbank names begin with the time
    (re.compile(r"(?<=[ ])(?:[0-9A-F]{2} ){5,}[0-9A-F]{2}(?: … \d+ bytes)?"), "<bytes>"),
    (re.compile(r"RRN \d{12}"),                                              "RRN <rrn>"),
    (re.compile(r"\b20\d{6}\b"),                                             "<date>"),
    (re.compile(r"phone [0-9a-f]{8}\b"),                                     "phone <device>"),  # devices and tokens are random
    (re.compile(r"token …\d{4}"),                                            "token …<digits>"),
    (re.compile(r"625094\*{6}\d{4}"),                                        "625094******<digits>"),
]
# fmt: on


def normalised(transcript: str) -> str:
    for pattern, name in CHANGING:
        transcript = pattern.sub(name, transcript)
    return transcript


@pytest.fixture(scope="module")
def transcript() -> str:
    result = subprocess.run(
        [sys.executable, "-m", "shanfu.cli", "demo", "--lang", "en"], capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_transcript_is_the_golden_one(transcript: str) -> None:
    seen = normalised(transcript)
    if os.environ.get("SHANFU_GOLDEN") == "write":
        GOLDEN.write_text(seen)
    assert seen == GOLDEN.read_text()


# fmt: off
TOLD = [  # act, what it must say
    (1, "=> APPROVED 00"), (1, "CVM online pin"),
    (2, "=> APPROVED 00"), (2, "CVM none"),
    (3, "=> DECLINED 55"),
    (4, "=> DECLINED 51"),
    (5, "=> DECLINED 98"), (5, "0420 reversal"),
    (6, "=> DECLINED 98"), (6, "0430 reversal"),
    (7, "=> APPROVED 00"), (7, "CDA: the card is genuine"), (7, "script 1, set a data object: sent"),
    (7, "script result taken 00"),
    (8, "insert, swipe or try another card"), (8, "=> APPROVED 00"), (8, "CVM online pin"),
    (9, "=> APPROVED ·"), (9, "0220 offline approval"), (9, "0320"),
    (10, "10 of 10 uses"), (10, "ACTIVATE by TSP"),
    (11, "=> APPROVED 00"), (11, "CVM online pin"), (11, "token resolved 00"),
    (12, "one use is spent, 0 payments left"), (12, "the network is back"), (12, "open the app to refresh"),
    (13, "=> APPROVED 00"), (13, "keys.confirm"),
    (14, "this storage belongs to another phone"),
    (15, "=> DECLINED 62"), (15, "TOKEN_NOT_ACTIVE"),
    (16, "=> APPROVED 00"), (16, "0220 refund"),
    (17, "everything agrees"), (17, "0510 settlement 00"),
]
# fmt: on


@pytest.mark.parametrize(("act", "words"), TOLD)
def test_what_each_act_says(transcript: str, act: int, words: str) -> None:
    acts = re.split(r"^(?=\d+\. )", transcript, flags=re.MULTILINE)
    assert words in acts[act]


def test_no_pan_and_no_pin_in_it(transcript: str) -> None:
    assert "620901000000001" not in transcript.replace(" ", "")
    assert "123456" not in transcript
