"""Tests of programs/websocket.rs with Python's WebSocket clients:
python3 websocket_clients.py ws://127.0.0.1:PORT

Prints `ready` when all is done but the server's stop, then waits for that and prints `done`."""

import asyncio
import socket
import sys

import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

URL = sys.argv[1]
MOST = 256 * 1024


async def code_after(path, *messages):
    """The close code that the server answers these messages with."""
    async with websockets.connect(URL + path, max_size=None) as peer:
        try:
            for message in messages:
                await peer.send(message)
            while True:
                await peer.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


async def library():
    async with websockets.connect(URL + "/echo", subprotocols=["echo.2", "echo.1"]) as peer:
        assert peer.subprotocol == "echo.1", peer.subprotocol
        # The client offers compression by default, and the server does not accept it.
        assert peer.response.headers.get("Sec-WebSocket-Extensions") is None
        for message in ["", "wörter", b"", b"\x00\xff", "x" * MOST, bytes(MOST)]:
            await peer.send(message)
            assert await peer.recv() == message
        await peer.send(["in ", "three ", "pieces"])
        assert await peer.recv() == "in three pieces"
        await peer.send([b"in ", b"two"])
        assert await peer.recv() == b"in two"
        await asyncio.wait_for(await peer.ping(b"there?"), 20)
        await peer.close(1000, "bye")
        assert peer.close_code == 1000, peer.close_code
    assert await code_after("/echo", "x" * (MOST + 1)) == 1009
    assert await code_after("/short", b"bytes") == 1003
    assert await code_after("/short") == 1000  # idle
    assert await code_after("/fails", "error") == 1011
    assert await code_after("/fails", "close") == 4000
    # It answers pings itself, so it is not closed; then it leaves with its own code.
    async with websockets.connect(URL + "/pings") as peer:
        await asyncio.sleep(0.5)  # five times the interval: this tests the time
        await peer.send("still here")
        assert await peer.recv() == "still here"
        await peer.close(4001)
    try:
        async with websockets.connect(URL + "/echo", origin="https://elsewhere.example"):
            raise AssertionError("another page's origin was accepted")
    except InvalidStatus as refused:
        assert refused.response.status_code == 403, refused
    own = URL.replace("ws://", "http://")
    async with websockets.connect(URL + "/echo", origin=own) as peer:
        await peer.send("own page")
        assert await peer.recv() == "own page"


class Bare:
    """A client with wsproto, which has no socket of its own."""

    def __init__(self, path, **handshake):
        host, port = URL.removeprefix("ws://").split(":")
        self.socket = socket.create_connection((host, int(port)), 20)
        self.state = WSConnection(ConnectionType.CLIENT)
        self.send(Request(host=f"{host}:{port}", target=path, **handshake))

    def send(self, event):
        self.socket.sendall(self.state.send(event))

    def events(self):
        while True:
            yield from self.state.events()
            data = self.socket.recv(65536)
            self.state.receive_data(data or None)
            if not data:
                yield from self.state.events()
                return


def states():
    peer = Bare("/echo")
    events = peer.events()
    assert isinstance(next(events), AcceptConnection)
    peer.send(TextMessage("in ", message_finished=False))
    peer.send(Ping(b"between"))
    peer.send(TextMessage("pieces"))
    pong = next(events)
    assert isinstance(pong, Pong) and bytes(pong.payload) == b"between", pong
    answer = next(events)
    assert isinstance(answer, TextMessage) and answer.data == "in pieces", answer
    peer.send(BytesMessage(b"\x00" * 70_000))
    size = 0
    for event in events:
        assert isinstance(event, BytesMessage), event
        size += len(event.data)
        if event.message_finished:
            break
    assert size == 70_000, size
    peer.send(CloseConnection(code=1000, reason="bye"))
    closed = next(events)
    assert isinstance(closed, CloseConnection) and closed.code == 1000, closed
    refused = next(Bare("/echo", extra_headers=[(b"Origin", b"https://a.example")]).events())
    assert isinstance(refused, RejectConnection) and refused.status_code == 403, refused


async def main():
    await library()
    await asyncio.to_thread(states)
    async with websockets.connect(URL + "/echo") as peer:
        print("ready", flush=True)
        try:
            await peer.recv()
        except ConnectionClosed as closed:
            assert closed.rcvd and closed.rcvd.code == 1001, closed
            print("done", flush=True)


asyncio.run(main())
