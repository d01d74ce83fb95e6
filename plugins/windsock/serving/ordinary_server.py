"""``OrdinaryServer``: uvicorn as it comes, where the server's own protocol was not tested with it."""

from __future__ import annotations

import asyncio
import socket
import ssl

import uvicorn


class OrdinaryServer(uvicorn.Server):
    """Uvicorn's server at two sockets, each with a TLS of its own.

    :param config: uvicorn's, loaded.
    :param public: the socket for everybody, and what TLS needs there.
    :param private: the socket of health and admin, and what TLS needs there.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        public: tuple[socket.socket, ssl.SSLContext | None],
        private: tuple[socket.socket, ssl.SSLContext | None],
    ) -> None:
        super().__init__(config)
        self._public, self._private = public, private

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then listen at both."""
        listening, self.config.ssl = self._public
        await super().startup(sockets=[listening])

        def make() -> asyncio.Protocol:
            kind = self.config.http_protocol_class
            return kind(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )

        listening, context = self._private
        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(make, sock=listening, ssl=context))
