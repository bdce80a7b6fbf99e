"""Card verification values: made when a card is made, compared when its stripe or its printed number is all there is.

Called by `soft`; the formula and what each code is made over are `shanfu.crypto.cvv`'s. Source: Visa PTSM.
"""

import hmac

from shanfu.crypto import card_code
from shanfu.errors import DecodeError
from shanfu.hsm.bench import Bench
from shanfu.hsm.jobs import CVVJob, KeyUsage

__all__ = ["make_cvv", "verify_cvv"]


def make_cvv(bench: Bench, job: CVVJob) -> str:
    """Return the 3 digits; `DecodeError` for data that no code can be made of."""
    key = bench.use(job.key, KeyUsage.CVK).key
    return card_code(job.code.value, key, pan=job.pan, expiry_yymm=job.expiry_yymm, service_code=job.service_code)


def verify_cvv(bench: Bench, job: CVVJob, digits: str) -> bool:
    """Compare digits with the code of this data, in constant time."""
    try:
        made = make_cvv(bench, job)
    except DecodeError:
        return False
    return hmac.compare_digest(made.encode(), digits.encode("utf-8", "surrogatepass"))
