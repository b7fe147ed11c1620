"""`socketio.AsyncClient`, the asynchronous client of python-socketio, against the examples.

It sends every cookie through aiohttp, which puts double quotes around a value with `/` or `=` in it."""

import asyncio
import unittest

import aiohttp
import socketio
from example import DEADLINE, Example

TRANSPORTS = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "polling with upgrade": None,
}


class Connection:
    """A client with its events in queues."""

    def __init__(self, reconnection=False, **options):
        self.client = socketio.AsyncClient(
            reconnection=reconnection, reconnection_delay=0.1, **options
        )
        self.events = {}
        for name in ["session", "ended", "connect_error", "disconnect"]:
            self.events[name] = asyncio.Queue()
            self.client.on(name, self.events[name].put_nowait)

    async def connect(self, url, **options):
        # `AsyncClient` takes the cookie out of the dictionary that it is given.
        headers = options.pop("headers", {})
        headers = headers if callable(headers) else dict(headers)
        await self.client.connect(url, wait_timeout=DEADLINE, headers=headers, **options)
        return self

    async def next(self, event):
        return await asyncio.wait_for(self.events[event].get(), DEADLINE)

    async def refused(self, url, **options):
        """Returns what `connect_error` was given."""
        try:
            await self.connect(url, **options)
        except socketio.exceptions.ConnectionError:
            return await self.next("connect_error")
        await self.client.disconnect()
        raise AssertionError("connected")


class AsyncClient:
    example = None

    @classmethod
    def setUpClass(cls):
        cls.server = Example(cls.example)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    async def connect(self, options=None, **connect):
        connection = Connection(**(options or {}))
        self.addAsyncCleanup(connection.client.disconnect)
        return await connection.connect(self.server.url, **connect)

    async def assert_works(self, connection, name):
        self.assertEqual((await connection.next("session"))["name"], name)
        self.assertEqual(await connection.client.call("visit", timeout=DEADLINE), {"visits": 1})
        self.assertEqual(await connection.next("session"), {"name": name, "visits": 1})

    async def test_a_cookie_over_websocket_and_with_upgrade(self):
        for name in ["websocket", "polling with upgrade"]:
            with self.subTest(name):
                headers = {"Cookie": self.server.login("Ann")}
                connection = await self.connect(headers=headers, transports=TRANSPORTS[name])
                await self.assert_works(connection, "Ann")
                self.assertEqual(connection.client.transport(), "websocket")

    async def test_a_cookie_that_comes_with_the_first_poll_only_is_refused(self):
        headers = {"Cookie": self.server.login("Ann")}
        connection = Connection()
        # The later requests of this transport look like those of another client that knows its `sid`.
        # They are refused, which this client does not report: it waits until its time is up.
        with self.assertRaises(socketio.exceptions.ConnectionError):
            await connection.client.connect(
                self.server.url, headers=headers, transports=["polling"], wait_timeout=1
            )
        self.assertTrue(connection.events["session"].empty())
        self.server.logged(r"cookie.*first|first.*cookie")

    async def test_a_token_over_every_transport(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                auth = {"token": self.server.token(self.server.login("Ann"))}
                await self.assert_works(await self.connect(auth=auth, transports=transports), "Ann")

    async def test_an_aiohttp_session_that_signed_in_over_every_transport(self):
        for name, transports in TRANSPORTS.items():
            # `unsafe`, because the host is an IP address.
            jar = aiohttp.CookieJar(unsafe=True)
            with self.subTest(name):
                async with aiohttp.ClientSession(cookie_jar=jar) as http:
                    form = {"name": "Ann"}
                    async with http.post(f"{self.server.url}/login", data=form, allow_redirects=False) as answer:
                        self.assertEqual(answer.status, 303)
                    connection = await self.connect(options={"http_session": http}, transports=transports)
                    await self.assert_works(connection, "Ann")
                    await connection.client.disconnect()

    async def test_refusals_have_distinct_codes(self):
        cookie = self.server.login("Ann")
        for options, code in [
            ({}, "NO_COOKIE"),
            ({"auth": {"token": ""}}, "NO_COOKIE"),
            ({"headers": {"Cookie": "sid=forged"}}, "NO_SESSION"),
            ({"auth": {"token": "forged"}}, "NO_SESSION"),
            ({"headers": {"Cookie": cookie, "Origin": "https://evil.example"}}, "FORBIDDEN"),
        ]:
            for transports in [["websocket"], ["polling"]]:
                with self.subTest(code, transports=transports, **options):
                    error = await Connection().refused(self.server.url, transports=transports, **options)
                    self.assertEqual(error, {"message": code})

    async def test_a_sign_out_disconnects_and_the_next_sign_in_connects_again(self):
        cookie = self.server.login("Ann")
        token = {"token": self.server.token(cookie)}
        connection = await self.connect(auth=token, transports=["websocket"])
        await self.assert_works(connection, "Ann")
        self.server.post("/logout", cookie)
        self.assertEqual(await connection.next("ended"), "deleted")
        await connection.next("disconnect")
        await connection.client.wait()  # the transport is closed too
        error = await connection.refused(self.server.url, auth=token, transports=["websocket"])
        self.assertEqual(error, {"message": "NO_SESSION"})
        token = {"token": self.server.token(self.server.login("Bob"))}
        await connection.connect(self.server.url, auth=token, transports=["websocket"])
        await self.assert_works(connection, "Bob")

    async def test_functions_bring_a_fresh_token_and_a_changed_cookie_after_a_lost_transport(self):
        cookie = self.server.login("Ann")
        fresh = {
            "auth": lambda: {"token": self.server.token(cookie)},
            "headers": lambda: {"Cookie": cookie},
        }
        for name, function in fresh.items():
            with self.subTest(name):
                connection = await self.connect(
                    options={"reconnection": True}, transports=["websocket"], **{name: function}
                )
                self.assertEqual((await connection.next("session"))["name"], "Ann")
                await connection.client.eio.ws.close()
                await connection.next("disconnect")
                self.assertEqual((await connection.next("session"))["name"], "Ann")


class WithAxum(AsyncClient, unittest.IsolatedAsyncioTestCase):
    example = "axum"


class WithHyper(AsyncClient, unittest.IsolatedAsyncioTestCase):
    example = "hyper"
