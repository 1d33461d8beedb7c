#!/usr/bin/python3
"""WebSocket servers and clients of other Python libraries: aiohttp and tornado.

ws_pair.py aiohttp|tornado server PORT   an echo server at /echo that also pings, until it is ended
ws_pair.py aiohttp|tornado client PORT   a client: text, binary, an empty message, a ping, a close
"""
import asyncio
import sys

MESSAGES = ["plain words", "compress me well, " * 40, b"\x00\x01\x02" * 100, "", "gr\u00fc\u00dfe"]


async def aiohttp_server(port):
    from aiohttp import WSMsgType, web

    async def echo(request):
        socket = web.WebSocketResponse(protocols=["echo"])
        await socket.prepare(request)
        await socket.ping(b"are you there")
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type == WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket

    app = web.Application()
    app.router.add_get("/echo", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Future()


async def aiohttp_client(port):
    import aiohttp
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect("http://127.0.0.1:%d/echo" % port, protocols=["echo"],
                                      compress=15) as socket:
            for message in MESSAGES:
                await (socket.send_str if isinstance(message, str) else socket.send_bytes)(message)
                await socket.receive()
            await socket.ping(b"ping data")
            await socket.close(code=1000, message=b"done")


async def tornado_server(port):
    from tornado import web, websocket

    class Echo(websocket.WebSocketHandler):
        def get_compression_options(self):
            return {}

        def select_subprotocol(self, subprotocols):
            return "echo" if "echo" in subprotocols else None

        def open(self):
            self.ping(b"are you there")

        def on_message(self, message):
            self.write_message(message, binary=isinstance(message, bytes))

    web.Application([("/echo", Echo)]).listen(port, "127.0.0.1")
    await asyncio.Future()


async def tornado_client(port):
    from tornado import websocket
    socket = await websocket.websocket_connect("ws://127.0.0.1:%d/echo" % port,
                                               compression_options={}, subprotocols=["echo"])
    for message in MESSAGES:
        await socket.write_message(message, binary=isinstance(message, bytes))
        await socket.read_message()
    socket.ping(b"ping data")
    socket.close(1000, "done")
    await socket.read_message()


asyncio.run(globals()["%s_%s" % (sys.argv[1], sys.argv[2])](int(sys.argv[3])))
