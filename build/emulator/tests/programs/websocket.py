"""Client of one WebSocket through the platform: python3 websocket.py SCENARIO ws://127.0.0.1:PORT

Prints how the connection ended for the client."""

import asyncio
import sys

import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

SCENARIO, URL = sys.argv[1:]


async def end(peer):
    try:
        while True:
            await peer.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


async def echo(peer, message):
    await peer.send(message)
    assert await peer.recv() == message


async def converse(peer):
    match SCENARIO:
        case "echo":
            for message in ["wörter", b"\x00\xff", "x" * (256 << 10)]:
                await echo(peer, message)
            await (await peer.ping(b"there?"))
            await peer.close(1000)
            return peer.close_code
        case "leave":
            await echo(peer, "hello")
            await peer.close(4001)
            return 4001
        case "break":
            await echo(peer, "hello")
            peer.transport.abort()
            return 1006
        case "close" | "error":
            await peer.send(SCENARIO)
        case "big":
            try:
                await peer.send("x" * 300_000)
            except ConnectionClosed:
                pass  # the connection may be cut during the send
        case "talk":
            try:
                while True:
                    await echo(peer, "still here")
                    await asyncio.sleep(0.3)  # less than the idle time
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006
        case "hold":
            await echo(peer, "hello")
            print("open", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            await peer.close(1000)
            return peer.close_code
    return await end(peer)


async def main():
    path = "/fails" if SCENARIO in ("close", "error") else "/echo"
    origin = "https://elsewhere.example" if SCENARIO == "stranger" else None
    try:
        async with websockets.connect(
            URL + path, origin=origin, max_size=None, ping_interval=None
        ) as peer:
            print("ended", await converse(peer))
    except InvalidStatus as refused:
        print("refused", refused.response.status_code)


asyncio.run(main())
