"""Network management as the acquirer does it: as every member, and what is stored to be forwarded is due at each sign-on."""

from shanfu.acquirer.books import AcquirerBooks
from shanfu.acquirer.forward import QUEUED
from shanfu.hosts import LinkRow, LinkState, MemberConfig, MemberManagement
from shanfu.hsm import HSM

__all__ = ["Management"]


class Management(MemberManagement[AcquirerBooks]):
    """What the acquirer says and answers about the link itself."""

    def __init__(self, config: MemberConfig, hsm: HSM) -> None:
        super().__init__(config, hsm)
        self._config = config

    def signed_on(self, link: LinkRow, books: AcquirerBooks) -> None:
        """Note that the network has us signed on, and let everything in store-and-forward go out."""
        super().signed_on(link, books)
        for item in books.forwards.select(QUEUED):
            item.deadline_ms = min(item.deadline_ms, books.now_ms)

    def network_up(self, books: AcquirerBooks) -> bool:
        """Whether requests can leave: signed on, and both working keys are here."""
        signed_on = books.link(self._config.network).state == LinkState.SIGNED_ON
        return signed_on and books.keys.has(self._config.mak) and books.keys.has(self._config.pik)
