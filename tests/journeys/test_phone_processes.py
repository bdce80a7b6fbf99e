"""Real processes: a phone is added over HTTPS, pays, its house is killed and started again, and it pays again."""

from pathlib import Path

from shanfu.clock import SystemClock
from shanfu.events import Recorder
from shanfu.sandbox import Fleet, Settings, World, free_ports, hold, open_or_build, remote_world
from shanfu.terminal import Receipt
from shanfu.wallet import Phone
from tests.journeys.city import running
from tests.journeys.pockets import Street, add, said
from tests.journeys.town import money


def wave(world: World, phone: Phone, amount: str) -> Receipt:
    with remote_world(world, feeds={}) as reach, reach.till("teahouse", keypad=lambda _: None) as it:
        it.present(phone.tap_target)
        receipt = it.do(it.terminal.pay(money("teahouse", amount)))
        it.take_away()
    return receipt


def test_the_house_is_killed_and_the_phone_pays_again(tmp_path: Path) -> None:
    world = open_or_build(tmp_path / "world", settings=Settings(household=True, **free_ports()))
    with running(world) as fleet, remote_world(world, feeds={}) as reach, hold(reach, "phone") as holder:
        token = add(holder, "debit")
        receipts = [wave(world, holder.phone, "1.00")]
        again(fleet, "network")
        receipts.append(wave(world, holder.phone, "2.00"))
        holder.do(holder.app.refresh(force=True))
        assert [card.uses_left for card in holder.all_cards()] == [10]
        again(fleet, "issuer-lantern")
        receipts.append(wave(world, holder.phone, "4.00"))
        assert [said(receipt) for receipt in receipts] == ["approved"] * 3
        listed = holder.do(holder.app.transactions(token))
        assert sorted(item.amount for item in listed.items) == [100, 200, 400]
        assert fleet.fallen() == []
    with Street.open(world.folder, now_ms=SystemClock().now_ms(), events=Recorder()) as street:
        street.receipts += receipts
        street.known.add("teahouse")
        street.drain()
        street.judge(street.available() | {"lin-yue/156": street.available()["lin-yue/156"] + 700})


def again(fleet: Fleet, host: str) -> None:
    """Kill a host as a power cut would, and start it again."""
    fleet.kill(host)
    fleet.start([host])
    fleet.wait_signed_on()
