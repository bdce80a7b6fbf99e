"""Who may call: the file of institutions, their access tokens, and how often anybody may ask."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanfu.clock import ManualClock
from shanfu.errors import ConfigError
from shanfu.web import Buckets, Client, Clients, Rate, Tokens, hashed, write_clients

KEPT = hashed("secret")
ROW = Client(client="lantern", certificate="cloud", caller="requestor/90100000001", secret=KEPT)


def test_what_is_written_is_read_and_holds_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    write_clients(path, [ROW, Client(client="bank", certificate="b", caller="issuer/99010000", secret=KEPT)])
    assert path.stat().st_mode & 0o777 == 0o600
    assert 'secret = "scrypt:' in path.read_text()
    clients = Clients.read(path)
    assert clients.proved("lantern", "secret", "cloud") == ROW
    assert KEPT not in repr(ROW)


def test_a_secret_is_hashed_with_a_salt_of_its_own() -> None:
    assert hashed("secret") != hashed("secret")


# fmt: off
PROVED = [
    # name        secret      certificate   let in
    ("lantern",   "secret",   "cloud",      True),
    ("lantern",   "Secret",   "cloud",      False),
    ("lantern",   "",         "cloud",      False),
    ("lantern",   "secret",   "tsp",        False),
    ("lantern",   "secret",   "",           False),
    ("harbour",   "secret",   "cloud",      False),
    ("",          "",         "",           False),
    ("nobody",    "",         "-",          False),
]
WRONG = [
    # what is wrong with the row                                       why
    ({"caller": "device/1"},                                           "should be requestor/"),
    ({"caller": "anyone/1"},                                           "should be requestor/"),
    ({"caller": "requestor/"},                                         "should be requestor/"),
    ({"caller": "requestor"},                                          "should be requestor/"),
    ({"client": "a:b"},                                                "without a colon"),
    ({"client": ""},                                                   "without a colon"),
    ({"certificate": ""},                                              "certificate's name"),
    ({"secret": "plain"},                                              "should be scrypt"),
]
# fmt: on


@pytest.mark.parametrize(("name", "secret", "certificate", "let_in"), PROVED)
def test_proved(name: str, secret: str, certificate: str, let_in: bool) -> None:
    assert (Clients([ROW]).proved(name, secret, certificate) is not None) == let_in


@pytest.mark.parametrize(("change", "why"), WRONG)
def test_rows_that_are_refused(change, why: str) -> None:
    fields = {"client": "lantern", "certificate": "cloud", "caller": "requestor/1", "secret": KEPT} | change
    with pytest.raises(ConfigError, match=why):
        Clients([Client(**fields)])


def test_the_same_client_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        Clients([ROW, ROW])


@pytest.mark.parametrize("text", ["[[client", "[[client]]\nclient = 'a'\n", "[[client]]\nclient = 1\n" + "certificate = 'a'\n"
                                  "caller = 'tsp/1'\nsecret = 's'\n", "\udcff"])  # fmt: skip
def test_files_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clients.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"clients\.toml"):
        Clients.read(path)
    with pytest.raises(ConfigError, match=r"none\.toml"):
        Clients.read(tmp_path / "none.toml")


# -- access tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_is_good_for_ten_minutes_over_its_certificate() -> None:
    clock = ManualClock(1_767_600_000_000)
    tokens = Tokens(clock)
    text = tokens.give(ROW, "aa")
    assert tokens.caller(text, "aa") == "requestor/90100000001"
    assert tokens.caller(text, "bb") is None
    assert tokens.caller(text + "x", "aa") is None
    assert tokens.caller("", "aa") is None
    clock.advance(599_999)
    assert tokens.caller(text, "aa") is not None
    clock.advance(1)
    assert tokens.caller(text, "aa") is None
    assert text not in str(vars(tokens))


def test_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shanfu.web.tokens.MOST_TOKENS", 3)
    tokens = Tokens(ManualClock(0))
    given_out = [tokens.give(ROW, "aa") for _ in range(5)]
    assert [tokens.caller(text, "aa") is not None for text in given_out] == [False, False, True, True, True]


# -- buckets ---------------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 5), max_size=60), st.floats(0.5, 20), st.integers(1, 20))
def test_nobody_gets_more_than_the_rate(pauses: list[float], per_s: float, burst: int) -> None:
    buckets, now_s, taken = Buckets(Rate(per_s, burst)), 100.0, 0
    for pause_s in pauses:
        now_s += pause_s
        wait_s = buckets.take("a", now_s)
        taken += not wait_s
        assert 0 <= wait_s <= 1 / per_s
        assert taken <= burst + (now_s - 100.0) * per_s + 1e-6


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shanfu.web.limits.MOST_BUCKETS", 3)
    buckets = Buckets(Rate(per_s=1, burst=1))
    for number in range(10):
        assert buckets.take(f"{number}", float(number) / 10) == 0
    assert len(buckets._left) == 3
    assert buckets.take("9", 0.9)  # the latest are remembered
