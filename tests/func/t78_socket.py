"""The control socket and clients that mean ill or know no better: nobody else notices, and nothing is left of them."""
import contextlib
import json
import os
import socket
import threading
import time

from harness import (CONTROL, DEADLINE_S, Control, Lookups, addresses, amount, ask, check, check_equal, is_sanitized, quoted, run, wait_until)

MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 5)]
DE = {f"192.0.2.{i}" for i in range(1, 5)}
LINE_MAX = 65536
SILENT_S = 10  # a client that says nothing, or does not read, is sent away after that


def setup(case):
    daemon = case.daemon(case.site().pool_site(MIRRORS, server=CONTROL, workers=2))
    daemon.ctl("status")
    daemon.fds_n = fds_n(daemon)
    return daemon


def fds_n(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def connect(daemon):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(daemon.control)
    sock.settimeout(20)
    return sock


class Bystander:
    """Asks over UDP all the time, and over the socket, and remembers how long it took."""

    def __init__(self, daemon, control=True, control_limit_s=0.5):
        self.daemon = daemon
        self.control_limit_s = control_limit_s
        self.ends = threading.Event()
        self.udp_s, self.control_s, self.trouble = [], [], []
        self.threads = [threading.Thread(target=self.repeat, args=(self.ask_udp,))]
        if control:
            self.threads.append(threading.Thread(target=self.repeat, args=(self.ask_control,)))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.ends.set()
        for thread in self.threads:
            thread.join()
        if kind is None:
            self.check()

    def repeat(self, ask_once):
        try:
            while not self.ends.is_set():
                ask_once()
                time.sleep(0.003)
        except Exception as trouble:  # of a thread: told by check()
            self.trouble.append(f"{ask_once.__name__}: {trouble!r}")

    def ask_udp(self):
        with Lookups(self.daemon.addr) as lookups:
            start = time.monotonic()
            lookups.ask("db.de.clamav.test")
            self.udp_s.append(time.monotonic() - start)

    def ask_control(self):
        start = time.monotonic()
        with Control(self.daemon.control) as control:
            control.do("status")
        self.control_s.append(time.monotonic() - start)

    def check(self):
        """A busy machine may hold up one of many, for a while; a server that waits for a client waits until that one is sent away."""
        check_equal(self.trouble, [], "trouble of others")
        busy_s = SILENT_S * 0.9
        for what, times, limit in (("UDP", self.udp_s, amount(1, 0.05, busy_s)), ("control", self.control_s, amount(busy_s, self.control_limit_s, busy_s))):
            late = sorted(times)[-(1 + len(times) // 50):]
            check(not late or late[0] < limit, f"{what} answers of {len(times)}: {[round(t, 3) for t in late]} s")


def check_same(daemon):
    """Nothing has come of it, and its sockets are closed."""
    check_equal(set(addresses(ask(daemon, "db.de.clamav.test"))), DE, "members")
    check_equal([m["state"] for m in daemon.ctl("pool", "show")[0]["mirrors"]], ["in"] * len(MIRRORS), "states of mirrors")
    wait_until(lambda: fds_n(daemon) <= daemon.fds_n, f"{fds_n(daemon)} descriptors are open, {daemon.fds_n} before", 3 * SILENT_S)


NO_REQUEST = [
    b"", b" ", b"status", b"{", b'{"command": "status"', b"null", b"true", b"42", b'"status"', b"[]", b'["status"]',
    b'{"command": "status"} {"command": "status"}', b'{"command": "status", "command": "stats"}', b"{'command': 'status'}",
    b"\x00", b'{"command": "status"}\x00', b'{"command": "sta\x00tus"}', b'{"command": "sta\\u0000tus"}', b"\xff\xfe" * 50,
    b'{"command": "\xc3\x28"}', b'{"command": "\\ud800"}', bytes(range(1, 10)) + bytes(range(11, 256)), b"GET / HTTP/1.1\r",
    b"[" * 17, b"[" * 60000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b"{" + b"\\" * 60000, b"1" * 60000, b"1e999999", b'{"command": 1e400}',
]


def test_garbage(_case, daemon):
    """What is no request is told so, and the connection goes on."""
    with Bystander(daemon), Control(daemon.control) as control:
        for line in NO_REQUEST:
            control.sock.sendall(line + b"\n")
            response = json.loads(control.lines.readline())
            check(response["ok"] is False and "a JSON object on a line" in response["error"], f"{line[:40]}: {response}")
        check_equal(control.do("status")["pid"], daemon.pid, "status on the same connection")
    check_same(daemon)


def test_long(_case, daemon):
    """A line of the greatest length is read, one that is longer gets one error, and what follows is answered."""
    request = b'{"command": "status"}'
    with Control(daemon.control) as control:
        control.sock.sendall(request + b" " * (LINE_MAX - 1 - len(request)) + b"\n")
        check_equal(json.loads(control.lines.readline())["ok"], True, "the longest")
        for length in (LINE_MAX, LINE_MAX + 1, 70000, 3 * LINE_MAX, 1000000):
            # Its end looks like a request.
            control.sock.sendall(b"x" * (length - len(request)) + request + b"\n")
            response = json.loads(control.lines.readline())
            check(not response["ok"] and "65536 bytes" in response["error"], f"{length} bytes: {response}")
        control.sock.sendall(request + b"\n" + b"garbage\n" + request + b"\n")
        check_equal([json.loads(control.lines.readline())["ok"] for _ in range(3)], [True, False, True], "three at once")
        # Brackets in a text are no depth.
        response = control.ask("mirror", action="down", mirror="nobody", reason="[{" * 50)
        check("no mirror" in response["error"], f"{response}")
    check_same(daemon)


VALUES = (None, True, 0, -1, 1 << 62, 1.5, [], ["x"], {}, {"command": "status"}, "", " ", "x", "\n\t\u001b", "é" * 300, "%s%n",
          "../../etc/passwd", "x" * 60000)
KEYS = {
    "mirror": {"action": "down", "mirror": "m1.de.example", "reason": "x", "pool": "clamav", "for": "1h", "in": "1h",
               "at": "2020-01-01T00:00:00Z", "sudo-user": "x"},
    "feed": {"action": "accept", "pool": "clamav", "sudo-user": "x"},
    "explain": {"name": "db.de.clamav.test", "type": 1, "from": "127.0.0.1", "ecs": "192.0.2.0/24", "at": "2020-01-01T00:00:00Z"},
    "query": {"name": "db.de.clamav.test", "type": 1, "from": "127.0.0.1", "ecs": "192.0.2.0/24"},
    "geo": {"address": "127.0.0.1"},
    "pool": {"pool": "clamav", "at": "2020-01-01T00:00:00Z"},
    "version": {"x": "y"},
    "log": {"level": "nothing"},
    "status": {"x": "y"}, "stats": {"x": "y"}, "nothing": {}, "": {},
}


def test_types(_case, daemon):
    """Every key of every command with values of every kind, and without each: a response each, and no change."""
    responses = []

    def send(control, body):
        control.sock.sendall(json.dumps(body).encode() + b"\n")
        response = json.loads(control.lines.readline())
        check(isinstance(response["ok"], bool), f"{body}: {response}")
        check(response["ok"] or isinstance(response["error"], str) and response["error"], f"{body}: {response}")
        responses.append(response["ok"])
    with Bystander(daemon), Control(daemon.control) as control:
        for command, keys in KEYS.items():
            full = {"command": command} | keys
            for key in full:
                send(control, {k: v for k, v in full.items() if k != key and (command, k) != ("mirror", "action")})
                for value in VALUES:
                    if (command, key) != ("mirror", "at"):  # without it, the rest is in order
                        send(control, full | {key: value})
    check(responses.count(True) > 50 and responses.count(False) > 300, f"{responses.count(True)} of {len(responses)} were in order")
    check_same(daemon)


def test_half_open(_case, daemon):
    """Clients that say nothing, stop in the middle, or go before the response."""
    with Bystander(daemon), contextlib.ExitStack() as stack:
        for number in range(30):
            for request, waits in ((b"", True), (b'{"command": "stat', True), (b'{"command": "stat', False), (b"", False),
                                   (b'{"command": "pool"}\n', False), (b'{"command": "status"}\n' * 40, False)):
                sock = connect(daemon)
                sock.sendall(request)
                if waits and number % 5 == 0:
                    stack.enter_context(sock)
                else:
                    sock.close()
        # Half of a connection closed: the response comes all the same.
        sock = stack.enter_context(connect(daemon))
        sock.sendall(b'{"command": "status"}\n')
        sock.shutdown(socket.SHUT_WR)
        check_equal(json.loads(sock.makefile().readline())["ok"], True, "response to one that has closed its side")
        # And when the end of the line was forgotten, in the first request or a later one: it is not carried out, but told.
        for before in (b"", b'{"command": "status"}\n'):
            sock = stack.enter_context(connect(daemon))
            sock.sendall(before + b'{"command": "mirror", "action": "down", "mirror": "m1.de.example", "reason": "x"}')
            sock.shutdown(socket.SHUT_WR)
            lines = sock.makefile().read().splitlines()
            check_equal(len(lines), 1 + len(before.splitlines()), f"responses {lines}")
            check("the end of the line is missing" in json.loads(lines[-1])["error"], lines[-1])
    check_same(daemon)


def test_crowd(_case, daemon):
    """A hundred that connect and say nothing keep nobody out for long, and are sent away."""
    with Bystander(daemon, control=False), contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connect(daemon)) for _ in range(100)]
        wait_until(lambda: daemon.dnsdctl("status").status == 0, "an operator is served beside them", SILENT_S * 0.9)
        for _ in range(30):
            check_equal(daemon.dnsdctl("status").status, 0, "status beside them")
        for sock in crowd:
            check_equal(sock.recv(1), b"", "what a silent client gets")
    check_same(daemon)


def test_crowd_served(_case, daemon):
    """Sixty at a time that do ask are all answered."""
    with contextlib.ExitStack() as stack:
        controls = [stack.enter_context(Control(daemon.control)) for _ in range(60)]
        for control in controls:
            control.sock.sendall(b'{"command": "explain", "name": "db.de.clamav.test"}\n')
        check_equal([json.loads(control.lines.readline())["ok"] for control in controls], [True] * 60, "responses")
    check_same(daemon)


def test_unread(case, _):
    """Clients that never read a response of megabytes: others are served, and a stop does not wait for them."""
    site = case.site()
    site.pool_site([], server=CONTROL, workers=2)
    hosts = [f'\t{{ host = "mirror-{i}.somewhere.example"; country = "DE"; addresses = {quoted([f"10.1.{i >> 8}.{i & 255}"])}; }}'
             for i in range(5000)]
    site.write("mirrors.conf", "mirrors = (\n" + ",\n".join(hosts) + "\n);\n")
    daemon = case.daemon(site)
    mark_kb = daemon.rss_kb()
    with contextlib.ExitStack() as stack:
        with Bystander(daemon, control_limit_s=5):
            for _ in range(5):
                sock = stack.enter_context(connect(daemon))
                sock.sendall(b'{"command": "pool"}\n' * 20)
            shown = daemon.ctl("pool", "show")[0]
            check_equal(len(shown["mirrors"]), 5000, "mirrors, for one who reads")
            daemon.ctl("mirror", "down", "mirror-7.somewhere.example", "--reason", "x")
        check(is_sanitized() or daemon.rss_kb() - mark_kb < 100000, f"{mark_kb} kB before, {daemon.rss_kb()} kB now")
        daemon.stop()


def test_stop(case, _):
    """A stop in the middle of everything: each client gets an answer or the end."""
    daemon = case.daemon(case.site().pool_site(MIRRORS, server=CONTROL, workers=2))
    said = []

    def work():
        try:
            with Control(daemon.control) as control:
                while True:
                    said.append(control.ask("reload").get("ok"))
        except (EOFError, OSError):
            said.append(None)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: said.count(True) > 5, "some are answered")
    daemon.stop()
    for thread in threads:
        thread.join(DEADLINE_S)
    check(not any(thread.is_alive() for thread in threads), "a client still waits")
    check_equal(said.count(None), 8, "ends")
    check(run(["pgrep", "-f", daemon.conf_path])[0] != 0, "it still runs")


def test_file_removed(case, _):
    """Somebody has removed the socket's file: a reload makes it anew. One that somebody else has put there is left to him."""
    daemon = case.daemon(case.site().pool_site(MIRRORS, server=CONTROL))
    for _ in range(2):
        os.unlink(daemon.control)
        daemon.reload()
        check_equal(daemon.ctl("status")["pid"], daemon.pid, "who answers")
        daemon.ctl("reload")
    os.unlink(daemon.control)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(daemon.control)
        other.listen()
        daemon.stop()
        check(os.path.exists(daemon.control), "the other one's file is gone")
