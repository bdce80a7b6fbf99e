"""The golden dialogues against either side alone: the first byte that differs fails."""

import pytest

from shanfu.card import Interface
from shanfu.terminal import ACQUIRER, CARD
from tests.traces.play import FOLDER, SCENES, Scene, card_of, play, recorded


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_against_the_card(scene: Scene) -> None:
    card = card_of(scene)
    card.power_on(Interface.CONTACTLESS)
    exchanges = [exchange for exchange in recorded(scene) if exchange["to"] == CARD]
    assert len(exchanges) >= 3
    for exchange in exchanges:
        assert card.answer(bytes.fromhex(exchange["ask"])).hex().upper() == exchange["answer"]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_against_the_terminal(scene: Scene) -> None:
    left = recorded(scene)

    def answer(to: str, message: bytes) -> bytes:
        exchange = left.pop(0)
        assert (to, message.hex().upper()) == (exchange["to"], exchange["ask"])
        return bytes.fromhex(exchange["answer"])

    receipt = play(scene, card=lambda message: answer(CARD, message), acquirer=lambda message: answer(ACQUIRER, message))
    assert (receipt.outcome.value, receipt.response_code, left) == (scene.ends, scene.code, [])


def test_every_trace_has_its_scene() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(scene.name for scene in SCENES)
