"""Settings: what is said is taken, what is not known is refused with the name that was probably meant."""

from pathlib import Path

import pytest

from shanfu.emv import CVR, TVR
from shanfu.errors import ConfigError
from shanfu.issuer import IssuerConfig, Policy

LIMITS = {"CNY": {"per_transaction": "1.00", "per_day": "2.00"}}


def test_the_example_file_is_what_the_world_page_says() -> None:
    policy = Policy.default()
    assert (policy.limits["156"].per_transaction_minor, policy.limits["344"].per_day_minor) == (5_000_000, 10_000_000)
    assert (policy.payments_per_day, policy.pin_tries, policy.atc_window) == (50, 3, 1000)
    assert (policy.fallback, policy.cvv_place) == (True, 0)
    assert policy.refuse_cvr & int(CVR.APP_BLOCKED_BY_PIN)
    assert policy.refuse_tvr & int(TVR.DDA_FAILED)
    assert not policy.refuse_tvr & int(TVR.ONLINE_PIN_ENTERED)


# fmt: off
MISTAKES = [
    ({"limit": {}},                                              "did you mean 'limits'?"),
    ({"chip": {"act_window": 1}},                                "did you mean 'atc_window'?"),
    ({"chip": {"refuse_cvr": ["LAST_DDA_FAILD"]}},               "did you mean 'LAST_DDA_FAILED'?"),
    ({"chip": {"refuse_tvr": ["XYZZY"]}},                        "known are CDA_FAILED"),
    ({"limits": {"XXX": {}}},                                    "currency 'XXX'"),
    ({"limits": {"CNY": {"per_day": "1.00"}}},                   "per_transaction is missing"),
    ({"limits": {"CNY": {"per_day": "1.001", "per_transaction": "1"}}}, "is not an amount"),
    ({"limits": {"CNY": {"per_day": 1, "per_transaction": "1"}}}, "it must be str"),
    ({"pin": {"tries": 0}},                                      "it must be 1 or more"),
    ({"pin": {"tries": True}},                                   "it must be int"),
    ({"stripe": {"cvv_place": 14}},                              "track 2 has 0 to 13 digits there"),
    ({"stripe": {"cvv_place": -1}},                              "track 2 has 0 to 13 digits there"),
    ({"stripe": {"fallback": 1}},                                "it must be bool"),
    ({"stripe": {"falback": True}},                              "did you mean 'fallback'?"),
    ({"holds": {"weeks": 1}},                                    "unknown setting 'weeks'"),
]
# fmt: on


@pytest.mark.parametrize(("table", "words"), MISTAKES)
def test_mistakes_in_a_policy(table: dict, words: str) -> None:
    with pytest.raises(ConfigError, match="policy") as caught:
        Policy.of(table, where="policy")
    assert words in str(caught.value)


@pytest.mark.parametrize("content", ["limits = [", b"\xff\xfe"])
def test_a_policy_file_that_cannot_be_read(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=r"policy\.toml"):
        Policy.load(path)
    with pytest.raises(ConfigError, match="absent"):
        Policy.load(tmp_path / "absent.toml")


def test_config_with_a_policy_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[limits.CNY]\nper_transaction = "1.00"\nper_day = "2.00"\n')
    by_path = IssuerConfig.load({"institution": "99010000", "policy": str(path)})
    by_table = IssuerConfig.load({"institution": "99010000", "policy": {"limits": LIMITS}})
    assert by_path.policy == by_table.policy == Policy.load(path)
    assert IssuerConfig.load({"institution": "99010000"}).policy == Policy.default()
    assert (by_path.mak, by_path.pik, by_path.mmk) == ("mak/00010000", "pik/00010000", "mmk/00010000")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"instituion": "99010000"}, "did you mean 'institution'?"),
        ({"institution": "9901"}, "8 digits"),
        ({"institution": 99010000}, "must be str"),
        ({"institution": "99010000", "buckets": 0}, "1 or more"),
        ({"institution": "99010000", "policy": 3}, "must be dict"),
    ],
)
def test_mistakes_in_a_config(table: dict, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        IssuerConfig.load(table)
    assert words in str(caught.value)
