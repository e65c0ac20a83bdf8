"""Driver of two pages of the chat in a real browser, by its DevTools protocol:
python3 browser.py CHROMIUM http://127.0.0.1:PORT

Prints what both have seen, then `done`."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile

import websockets

CHROMIUM, ADDRESS = sys.argv[1:]
# A script in the page waits: it checks each change of the page.
SEEN = """new Promise(resolve => {
  const look = () => {
    const lines = [...document.querySelectorAll('#said li')].map(line => line.textContent)
    const state = document.getElementById('state').textContent
    const isOver = lines.includes(WANTED) || state.startsWith('closed')
    if (isOver) resolve(JSON.stringify([state, lines]))
  }
  new MutationObserver(look).observe(document, {subtree: true, childList: true})
  look()
})"""


class Browser:
    def __init__(self, connection):
        self.connection, self.numbers, self.waiting = connection, itertools.count(1), {}
        self.reader = asyncio.ensure_future(self.read())

    async def read(self):
        async for text in self.connection:
            message = json.loads(text)
            if message.get("id") in self.waiting:
                self.waiting.pop(message["id"]).set_result(message)

    async def call(self, method, session=None, **parameters):
        number = next(self.numbers)
        self.waiting[number] = asyncio.get_running_loop().create_future()
        call = {"id": number, "method": method, "params": parameters}
        await self.connection.send(json.dumps(call | ({"sessionId": session} if session else {})))
        answer = await asyncio.wait_for(self.waiting[number], 60)
        assert "error" not in answer, answer
        return answer["result"]

    async def page(self, url):
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self.call("Target.attachToTarget", targetId=target, flatten=True)
        session = attached["sessionId"]
        await self.call("Page.enable", session)
        await self.call("Page.navigate", session, url=url)
        return session

    async def run(self, session, script):
        said = await self.call(
            "Runtime.evaluate", session, expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def seen(self, session, wanted):
        # A navigation in progress ends the script that waits in the old page.
        for _ in range(20):
            try:
                return await self.run(session, SEEN.replace("WANTED", json.dumps(wanted)))
            except AssertionError as error:
                last = error
                await asyncio.sleep(0.1)
        raise last


async def main(address):
    async with websockets.connect(address, max_size=None) as connection:
        browser = Browser(connection)
        ann = await browser.page(ADDRESS + "/?name=Ann")
        print("Ann", await browser.seen(ann, "Ann comes in"))
        bob = await browser.page(ADDRESS + "/?name=Bob&say=hello")
        for name, page in [("Ann", ann), ("Bob", bob)]:
            print(name, await browser.seen(page, "Bob: hello"))
        # Other pages show a message as text, even if it is markup.
        await browser.run(ann, "socket.send('<b>wörter</b>')")
        print("Bob", await browser.seen(bob, "Ann: <b>wörter</b>"))
        # A script of another page is refused because of its origin.
        blank = await browser.page("data:text/html,<title>elsewhere</title>")
        script = f"""new Promise(resolve => {{
          const socket = new WebSocket('{ADDRESS.replace("http", "ws")}/chat')
          socket.onopen = () => resolve('open')
          socket.onclose = closed => resolve('refused ' + closed.code)
        }})"""
        print("elsewhere", await browser.run(blank, script))
        # A message that is too long.
        await browser.run(bob, "socket.send('x'.repeat(3000))")
        print("Bob", await browser.seen(bob, "never said"))
        print("Ann", await browser.seen(ann, "Bob leaves"))
        await browser.call("Browser.close")


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    started = subprocess.Popen(
        [
            CHROMIUM,
            "--headless=new",
            "--no-sandbox",  # root has no sandbox, and the page is trusted
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "about:blank",
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"HOME": profile},
        text=True,
    )
    try:
        for line in started.stderr:
            if line.startswith("DevTools listening on "):
                asyncio.run(main(line.removeprefix("DevTools listening on ").strip()))
                print("done")
                break
    finally:
        started.terminate()
        started.wait()
