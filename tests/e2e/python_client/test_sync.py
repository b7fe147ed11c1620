"""`socketio.Client`, the synchronous client of python-socketio, against the examples."""

import queue
import signal
import unittest

import requests
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
        self.client = socketio.Client(reconnection=reconnection, reconnection_delay=0.1, **options)
        self.events = {}
        for name in ["session", "ended", "connect_error", "disconnect"]:
            self.events[name] = queue.Queue()
            self.client.on(name, self.events[name].put)

    def connect(self, url, **options):
        self.client.connect(url, wait_timeout=DEADLINE, **options)
        return self

    def next(self, event):
        return self.events[event].get(timeout=DEADLINE)

    def refused(self, url, **options):
        """Returns what `connect_error` was given."""
        try:
            self.connect(url, **options)
        except socketio.exceptions.ConnectionError:
            return self.next("connect_error")
        self.client.disconnect()
        raise AssertionError("connected")


class SyncClient:
    example = None

    @classmethod
    def setUpClass(cls):
        cls.server = Example(cls.example)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def connect(self, url=None, options=None, **connect):
        connection = Connection(**(options or {}))
        self.addCleanup(connection.client.disconnect)
        return connection.connect(url or self.server.url, **connect)

    def assert_works(self, connection, name):
        self.assertEqual(connection.next("session")["name"], name)
        self.assertEqual(connection.client.call("visit", timeout=DEADLINE), {"visits": 1})
        self.assertEqual(connection.next("session"), {"name": name, "visits": 1})

    def test_a_cookie_over_websocket_and_with_upgrade(self):
        for name in ["websocket", "polling with upgrade"]:
            with self.subTest(name):
                headers = {"Cookie": self.server.login("Ann")}
                connection = self.connect(headers=headers, transports=TRANSPORTS[name])
                self.assert_works(connection, "Ann")
                self.assertEqual(connection.client.transport(), "websocket")

    def test_a_token_over_every_transport(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                cookie = self.server.login("Ann")
                auth = {"token": self.server.token(cookie)}
                self.assert_works(self.connect(auth=auth, transports=transports), "Ann")

    def test_a_token_from_a_function_and_from_the_query(self):
        cookie = self.server.login("Ann")
        connection = self.connect(auth=lambda: {"token": self.server.token(cookie)})
        self.assert_works(connection, "Ann")
        cookie = self.server.login("Bob")
        url = f"{self.server.url}?token={self.server.token(cookie)}"
        self.assert_works(self.connect(url, transports=["websocket"]), "Bob")

    def test_a_requests_session_with_a_jar_over_every_transport(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name), requests.Session() as http:
                answer = http.post(f"{self.server.url}/login", data={"name": "Ann"}, allow_redirects=False)
                self.assertEqual(answer.status_code, 303)
                connection = self.connect(options={"http_session": http}, transports=transports)
                self.assert_works(connection, "Ann")

    def connect_and_restart_the_server(self, by):
        """A connection to a server that is ended by this signal, and another server at its port."""
        first = Example(self.example)
        headers = {"Cookie": first.login("Ann")}
        connection = self.connect(first.url, {"reconnection": True}, headers=headers, transports=["websocket"])
        self.assertEqual(connection.next("session")["name"], "Ann")
        first.stop(by)
        second = Example(self.example, PORT=first.url.rpartition(":")[2])
        self.addCleanup(second.stop)
        return connection, second

    def test_a_server_that_is_stopped_is_not_connected_to_again(self):
        connection, server = self.connect_and_restart_the_server(signal.SIGTERM)
        self.assertEqual(connection.next("disconnect"), "server disconnect")
        headers = {"Cookie": server.login("Bob")}
        connection.connect(server.url, headers=headers, transports=["websocket"])
        self.assert_works(connection, "Bob")

    def test_a_rejection_during_a_reconnect_does_not_end_it(self):
        connection, _ = self.connect_and_restart_the_server(signal.SIGKILL)
        rejections = 0
        while rejections < 2:
            # While nothing listens, it is another error.
            rejections += connection.next("connect_error") == {"message": "NO_SESSION"}
        connection.client.shutdown()
        connection.client.wait()

    def test_a_cookie_that_comes_with_the_first_poll_only_is_refused(self):
        headers = {"Cookie": self.server.login("Ann")}
        connection = Connection()
        # The later requests of this transport look like those of another client that knows its `sid`.
        # They are refused, which this client does not report: it waits until its time is up.
        with self.assertRaises(socketio.exceptions.ConnectionError):
            connection.client.connect(
                self.server.url, headers=headers, transports=["polling"], wait_timeout=1
            )
        self.assertTrue(connection.events["session"].empty())
        self.server.logged(r"cookie.*first|first.*cookie")

    def test_refusals_have_distinct_codes(self):
        cookie = self.server.login("Ann")
        origin = {"Origin": "https://evil.example"}
        forged = {"token": "forged"}
        for options, code in [
            ({}, "NO_COOKIE"),
            ({"auth": {"token": ""}}, "NO_COOKIE"),
            ({"headers": {"Cookie": "sid=forged"}}, "NO_SESSION"),
            ({"auth": forged}, "NO_SESSION"),
            ({"headers": {"Cookie": cookie, **origin}}, "FORBIDDEN"),
        ]:
            with self.subTest(code, **options):
                error = Connection().refused(self.server.url, transports=["websocket"], **options)
                self.assertEqual(error, {"message": code})

    def test_a_refused_token_over_polling_has_its_code(self):
        auth = {"token": "forged"}
        error = Connection().refused(self.server.url, transports=["polling"], auth=auth)
        self.assertEqual(error, {"message": "NO_SESSION"})

    def test_a_sign_out_disconnects_and_the_next_sign_in_connects_again(self):
        cookie = self.server.login("Ann")
        headers = {"Cookie": cookie}
        connection = self.connect(headers=headers, transports=["websocket"])
        self.assert_works(connection, "Ann")
        self.server.post("/logout", cookie)
        self.assertEqual(connection.next("ended"), "deleted")
        connection.next("disconnect")
        connection.client.wait()  # the transport is closed too
        error = connection.refused(self.server.url, headers=headers, transports=["websocket"])
        self.assertEqual(error, {"message": "NO_SESSION"})
        headers["Cookie"] = self.server.login("Bob")
        connection.connect(self.server.url, headers=headers, transports=["websocket"])
        self.assert_works(connection, "Bob")

    def test_functions_bring_a_fresh_token_and_a_changed_cookie_after_a_lost_transport(self):
        cookie = self.server.login("Ann")
        fresh = {
            "auth": lambda: {"token": self.server.token(cookie)},
            "headers": lambda: {"Cookie": cookie},
        }
        for name, function in fresh.items():
            with self.subTest(name):
                connection = self.connect(
                    options={"reconnection": True}, transports=["websocket"], **{name: function}
                )
                self.assertEqual(connection.next("session")["name"], "Ann")
                connection.client.eio.ws.close()
                connection.next("disconnect")
                self.assertEqual(connection.next("session")["name"], "Ann")


class WithAxum(SyncClient, unittest.TestCase):
    example = "axum"


class WithHyper(SyncClient, unittest.TestCase):
    example = "hyper"
