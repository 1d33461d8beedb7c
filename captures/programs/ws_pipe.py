"""Carries standard input and output in binary messages of a WebSocket: URL."""
import asyncio
import signal
import sys

import websockets


async def main(url):
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    async with websockets.connect(url, subprotocols=["binary"], compression=None) as ws:

        async def upwards():
            while data := await reader.read(4096):
                await ws.send(data)
            await ws.close()

        task = asyncio.create_task(upwards())
        async for message in ws:
            sys.stdout.buffer.write(message)
            sys.stdout.buffer.flush()
        task.cancel()


signal.signal(signal.SIGHUP, signal.SIG_IGN)  # ssh sends it when it has closed the pipe
asyncio.run(main(sys.argv[1]))
