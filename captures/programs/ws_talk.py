#!/usr/bin/python3
"""Python websockets talking to itself, or only one side of it.

ws_talk.py server PORT            an echo server, until it is ended
ws_talk.py client PORT URL-PATH [tls]   a client: fragmented, compressed, binary and empty messages;
                                  over TLS it keeps its keys (SSLKEYLOGFILE)
"""
import asyncio
import sys

import websockets


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def serve(port):
    async with websockets.serve(echo, "127.0.0.1", port, subprotocols=["echo"]):
        await asyncio.Future()


async def talk(port, path, tls):
    url = "ws%s:%d%s" % ("s://localhost" if tls else "://127.0.0.1", port, path)
    try:
        async with websockets.connect(url, subprotocols=["echo"]) as socket:
            await socket.send("plain words")
            await socket.recv()
            await socket.send(["in ", "three ", "fragments"])
            await socket.recv()
            await socket.send("compress me well, " * 300)
            await socket.recv()
            await socket.send([b"\x00\x01" * 40, b"", b"\xff" * 300])
            await socket.recv()
            await socket.send("")
            await socket.recv()
            pong = await socket.ping(b"ping data")
            await pong
            await socket.close(1000, "done")
    except websockets.exceptions.InvalidHandshake as error:
        print("refused:", error)


if sys.argv[1] == "server":
    asyncio.run(serve(int(sys.argv[2])))
else:
    asyncio.run(talk(int(sys.argv[2]), sys.argv[3], "tls" in sys.argv[4:]))
