"""An HSM under an LMK that the tests know."""

import pytest

from shanfu.hsm import SoftHSM
from tests.hsm.box import LMKEY


@pytest.fixture
def hsm() -> SoftHSM:
    return SoftHSM(LMKEY)
