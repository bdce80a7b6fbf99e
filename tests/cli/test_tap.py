"""`shanfu tap`, `ledger`, `reconcile`, `db`, `doctor` in one world, as a person at the keyboard meets them."""

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shanfu.cli.main import Exit, _run
from shanfu.sandbox import HOSTS, Settings, free_ports, open_or_build

PAN = "6209010000000013"
KEYS = {
    "outcome", "reason", "response_code", "amount", "currency", "device", "interface", "pan", "entry_mode", "cvm",
    "atc", "stan", "rrn",
}  # fmt: skip
KEYS |= {"trace_id", "duration_ms", "events"}
EVENT_KEYS = {"seq", "from", "to", "wire", "title", "bytes", "detail"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    open_or_build(folder, settings=Settings(**free_ports()))
    return folder


@pytest.fixture
def world(made: Path, tmp_path: Path) -> str:
    shutil.copytree(made, tmp_path / "data")
    return str(tmp_path / "data")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = _run(list(arguments))
    told = capsys.readouterr()
    return code, told.out, told.err


def tap(capsys: pytest.CaptureFixture[str], world: str, *arguments: str) -> dict[str, object]:
    _, out, _ = run(capsys, "tap", "--data", world, "--json", *arguments)
    value: dict[str, object] = json.loads(out)
    return value


# fmt: off
TAPS = [  # arguments, exit code, outcome, DE39, CVM
    (["--amount", "12.34"],                                     Exit.DONE,     "approved",              "00", "none"),
    (["--amount", "1000.00"],                                   Exit.DONE,     "approved",              "00", "none"),
    (["--amount", "1000.01", "--pin", "123456"],                Exit.DONE,     "approved",              "00", "online_pin"),
    (["--amount", "1280", "--pin", "654321"],                   Exit.DECLINED, "declined",              "55", "online_pin"),
    (["--amount", "12.34", "--merchant", "bookshop", "--pin", "123456"], Exit.DONE, "approved",         "00", "online_pin"),
    (["--amount", "88", "--card", "poor"],                      Exit.DECLINED, "declined",              "51", "none"),
    (["--amount", "5", "--card", "expired"],                    Exit.DECLINED, "declined",              "54", "none"),
    (["--amount", "5", "--card", "lost"],                       Exit.DECLINED, "declined",              "41", "none"),
    (["--amount", "5", "--card", "contact-only"],               Exit.DECLINED, "try-another-interface", None, None),
    (["--amount", "5", "--merchant", "kiosk"],                  Exit.DECLINED, "try-another-interface", None, None),
    (["--amount", "5", "--merchant", "ferry", "--card", "harbour", "--currency", "HKD"], Exit.DONE, "approved", "00", "none"),
    (["--amount", "5", "--merchant", "ferry"],                  Exit.DECLINED, "declined",              "A1", "none"),
    (["--amount", "5", "--currency", "HKD"],                    Exit.DECLINED, "declined",              "A1", "none"),
    (["--amount", "666.01", "--card", "faults"],                Exit.DECLINED, "declined",              "98", "none"),
    (["--amount", "666.05", "--card", "faults"],                Exit.DECLINED, "declined",              "98", "none"),
    (["--amount", "666.01"],                                    Exit.DONE,     "approved",              "00", "none"),
    (["--amount", "5", "--fault", "silent"],                    Exit.DECLINED, "declined",              "98", "none"),
    (["--amount", "5", "--fault", "late"],                      Exit.DECLINED, "declined",              "98", "none"),
    (["--amount", "5", "--fault", "duplicate"],                 Exit.DONE,     "approved",              "00", "none"),
]
REFUSED = [  # arguments, what is said
    (["tap"],                                       "Missing option '--amount'"),
    (["tap", "--amount", "twelve"],                 "write it like 12.34"),
    (["tap", "--amount", "1.234"],                  "write it like 12.34"),
    (["tap", "--amount", "1", "--card", "debt"],    "there are debit"),
    (["tap", "--amount", "1", "--merchant", "tea"], "there are teahouse"),
    (["tap", "--amount", "1", "--currency", "XXX"], "currency 'XXX': not known here"),
    (["tap", "--amount", "1280"],                   "give --pin"),
    (["tap", "--amount", "1", "--fault", "loud"],   "'loud' is not one of"),
    (["tap", "--amount", "1", "--pin", "12"],       "a PIN has 4 to 12 digits"),
    (["taap", "--amount", "1"],                     "did you mean 'tap'"),
    (["reconcile", "--date", "hello"],              "write it like 2026-11-22"),
    (["ledger", "account", "nobody"],               "there are"),
    (["ledger", "trial-balance", "--bank", "x"],    "issuer-x"),
    (["serve", "mint"],                             "there are network"),
    (["reconcile", "--date", "19700101"],           "no journal has it"),
]
# fmt: on


@pytest.mark.parametrize(("arguments", "code", "outcome", "response_code", "cvm"), TAPS, ids=[" ".join(t[0]) for t in TAPS])
def test_a_tap(
    arguments: list[str], code: int, outcome: str, response_code: str | None, cvm: str | None, *,
    world: str, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    got, out, _ = run(capsys, "tap", "--data", world, "--json", *arguments)
    told = json.loads(out)
    assert (got, told["outcome"], told["response_code"], told["cvm"]) == (code, outcome, response_code, cvm)
    assert set(told) == KEYS
    assert [set(event) for event in told["events"]] == [{"seq", "from", "to", "wire", "title", "bytes", "detail"}] * len(
        told["events"]
    )
    assert PAN not in out
    if told["rrn"]:
        assert run(capsys, "reconcile", "--data", world)[0] == Exit.DONE


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=[" ".join(r[0]) for r in REFUSED])
def test_wrong_words_get_a_clear_line(
    arguments: list[str], words: str, *, world: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, *arguments, "--data", world)
    assert (code, words in err) == (Exit.USAGE, True), err


def test_the_next_tap_goes_on_with_the_next_numbers(world: str, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tap(capsys, world, "--amount", "1"), tap(capsys, world, "--amount", "2")
    assert (first["atc"], second["atc"]) == (1, 2)
    assert int(str(second["stan"])) > int(str(first["stan"]))
    assert first["rrn"] != second["rrn"]
    assert first["trace_id"] != second["trace_id"]


def test_every_event_of_a_tap_has_its_place(world: str, capsys: pytest.CaptureFixture[str]) -> None:
    events = tap(capsys, world, "--amount", "1")["events"]
    assert isinstance(events, list)
    way = [(e["from"], e["to"]) for e in events if e["wire"] in ("pos", "interbank")]
    out = [("terminal", "acquirer-lantern"), ("acquirer-lantern", "network"), ("network", "issuer-lantern")]
    there_and_back = out + [(b, a) for a, b in reversed(out)]
    assert way[-6:] == there_and_back
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))


def test_the_ledger_sums_to_zero_and_shows_the_payment(world: str, capsys: pytest.CaptureFixture[str]) -> None:
    tap(capsys, world, "--amount", "12.34")
    code, out, _ = run(capsys, "ledger", "trial-balance", "--data", world, "--json")
    assert (code, json.loads(out)["sums_minor"]) == (Exit.DONE, {"CNY": 0})
    _, out, _ = run(capsys, "ledger", "account", "lin-yue", "--data", world, "--json")
    assert json.loads(out)[0]["balance_minor"] == 500_000 - 1_234


def test_doctor_and_upgrade(world: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "doctor", "--data", world, "--json")
    assert code == Exit.DONE, out
    code, out, _ = run(capsys, "db", "upgrade", "--data", world, "--json")
    assert set(json.loads(out)) == set(HOSTS)


@pytest.fixture
def hangs_up(world: str) -> Iterator[str]:
    """Somebody who accepts at the acquirer's port and hangs up."""
    opened = open_or_build(world)
    port, claim = opened.settings.ports["acquirer-lantern"], opened.claim("acquirer-lantern")
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def accept() -> None:
            while not over.is_set():
                try:
                    server.accept()[0].close()
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        yield world
        over.set()
        thread.join()
    claim.release()


def test_an_acquirer_that_cannot_be_reached(hangs_up: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "tap", "--data", hangs_up, "--amount", "1", "--json")
    assert (code, json.loads(out)["reason"]) == (Exit.UNREACHABLE, "host-unreachable")


def test_another_worlds_host_on_our_port_is_not_ours(world: str, capsys: pytest.CaptureFixture[str]) -> None:
    port = open_or_build(world).settings.ports["acquirer-lantern"]
    with socket.create_server(("127.0.0.1", port)):
        assert tap(capsys, world, "--amount", "1")["outcome"] == "approved"


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    code, _, err = run(capsys, "tap", "--amount", "1", "--data", str(tmp_path))
    assert (code, "thesis.txt" in err) == (Exit.USAGE, True)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_of_a_newer_version_is_refused(world: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Path(world) / "world.toml"
    settings.write_text(settings.read_text().replace("format = 1", "format = 2"))
    code, _, err = run(capsys, "tap", "--amount", "1", "--data", world)
    assert (code, "use a newer shanfu" in err) == (Exit.USAGE, True)


def test_a_misspelt_setting_is_named(world: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Path(world) / "world.toml"
    settings.write_text("tsl = true\n" + settings.read_text())
    code, _, err = run(capsys, "tap", "--amount", "1", "--data", world)
    assert (code, "did you mean 'tls'" in err) == (Exit.USAGE, True)


def test_what_the_environment_asks_of_a_new_world_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHANFU_TLS", "0")
    assert tap(capsys, str(tmp_path / "plain"), "--amount", "1")["outcome"] == "approved"
    assert "tls = false" in (tmp_path / "plain" / "world.toml").read_text()
    monkeypatch.setenv("SHANFU_STORES", "postgresql://127.0.0.1/shanfu")
    code, _, err = run(capsys, "tap", "--amount", "1", "--data", str(tmp_path / "other"))
    assert (code, "{host}" in err) == (Exit.USAGE, True)


def test_timeouts_that_do_not_nest_are_refused(
    world: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHANFU_TIMEOUTS_NETWORK_MS", "90000")
    code, _, err = run(capsys, "tap", "--amount", "1", "--data", world)
    assert (code, "do not nest" in err) == (Exit.USAGE, True)
