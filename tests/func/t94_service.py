"""dnsd and a service manager: what it is told, the watchdog, sockets it hands over, the unit files."""
import ctypes
import os
import re
import signal
import socket
import struct
import sys
import time

import t91_takeover
from harness import (DEADLINE_S, TCP, TOP, Daemon, Failure, Lookups, Skip, ask, check, check_equal, check_rcode,
                     free_port, make_query, need_program, parse_answer, run, wait_until)

MIRRORS = [("m1.de.example", "DE", ["192.0.2.1"]), ("m2.fr.example", "FR", ["192.0.2.2"])]
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it

# Becomes the program with the sockets where a manager puts them, and says so as one does.
LAUNCHER = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",")]
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.closerange(3 + len(fds), 200)
os.environ["LISTEN_FDS"] = str(len(fds))
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """The socket of a service manager."""

    def __init__(self, case, name):
        self.sock = case.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.sock.bind("\0" + name[1:] if name.startswith("@") else name)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.env = {"NOTIFY_SOCKET": name}
        self.sender = None  # pid, of the message received last

    def receive(self, deadline_s=DEADLINE_S):
        """One message as {key: value}, or None."""
        self.sock.settimeout(max(deadline_s, 0.001))
        try:
            text, control, _, _ = self.sock.recvmsg(4096, socket.CMSG_SPACE(12))
            self.sender = struct.unpack("iii", control[0][2])[0]
            lines = text.decode().splitlines()
        except socket.timeout:
            return None
        return dict(line.split("=", 1) for line in lines)

    def wait(self, key):
        """The next message that has the key."""
        end = time.monotonic() + DEADLINE_S
        while True:
            message = self.receive(end - time.monotonic())
            check(message is not None, f"no {key} within {DEADLINE_S:g} s")
            if key in message:
                return message

    def drain(self):
        while self.receive(0) is not None:
            pass


def test_states(case, _):
    """READY when it answers; RELOADING and READY around a reload, whatever becomes of it; STOPPING; STATUS."""
    for name in (os.path.join(case.folder, "notify"), f"@dnsd-test-{os.getpid()}"):
        manager = Manager(case, name)
        site = case.site().pool_site(MIRRORS)
        daemon = case.daemon(site, more_env=manager.env)
        ready = manager.receive()
        check_equal(ready.get("READY"), "1", f"the first message, {ready}")
        check(re.fullmatch(r"serving: generation=\d+ zones=1 mirrors=2/2", ready["STATUS"]), f"{ready}")
        check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")

        before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        daemon.reload()
        reloading = manager.wait("RELOADING")
        after_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        check(before_us <= int(reloading["MONOTONIC_USEC"]) <= after_us, f"the time of {reloading}")
        again = manager.receive()
        check_equal(again.get("READY"), "1", f"after the reload, {again}")
        check(int(re.search(r"generation=(\d+)", again["STATUS"])[1]) >= 2, f"{again}")

        text = open(site.path).read()
        site.write("dnsd.conf", text + "bogus = 1;\n")
        daemon.reload(fails=True)
        manager.wait("RELOADING")
        failed = manager.wait("READY")
        check("the last reload failed" in failed["STATUS"], f"{failed}")
        site.write("dnsd.conf", text)
        daemon.reload()
        manager.wait("RELOADING")
        check("failed" not in manager.wait("READY")["STATUS"], "a reload that went well")

        daemon.stop()
        stopping = manager.wait("STOPPING")
        check(int(stopping["EXTEND_TIMEOUT_USEC"]) >= 5_000_000, f"{stopping}")


def fill(name):
    """So many messages wait for the manager that it takes no more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            while True:
                sock.sendto(b"FILLED=1", name)
        except BlockingIOError:
            pass


def test_busy_manager(case, _):
    """A manager that takes no messages for a while, as at boot, hears of the start and of a new main process all the same."""
    t91_takeover.setup(case)
    name = os.path.join(case.folder, "notify")
    manager = Manager(case, name)
    fill(name)
    line = t91_takeover.Line(case, t91_takeover.make_site(case, server='sandbox = "off";', drain_s=0.3), more_env=manager.env)
    manager.wait("READY")  # among what it was filled with: it is said as soon as there is room
    manager.drain()
    fill(name)
    line.restart()
    heard = set()
    while heard != {"MAINPID", "READY"}:
        message = manager.receive()
        check(message is not None, f"the manager has heard of {heard} only")
        heard |= message.keys() & {"MAINPID", "READY"}
        check(message.get("MAINPID", str(line.pid)) == str(line.pid), f"{message}")


def test_status(case, _):
    """The status follows the pools without a reload."""
    manager = Manager(case, os.path.join(case.folder, "notify"))
    site = case.site().pool_site(MIRRORS, server='control = "ctl.sock";')
    daemon = case.daemon(site, more_env=manager.env)
    manager.wait("READY")
    daemon.ctl("mirror", "down", "m1.de.example", "--reason", "test", "--for", "1h")
    wait_until(lambda: "mirrors=1/2" in (manager.receive() or {}).get("STATUS", ""), "the status says who is out")


def test_watchdog(case, _):
    """Every worker is asked four times in the limit; also over reloads that change listeners."""
    limit_ms = 3000
    manager = Manager(case, os.path.join(case.folder, "notify"))
    site = case.site().pool_site(MIRRORS, workers=3)
    daemon = case.daemon(site, more_env=manager.env | {"WATCHDOG_USEC": str(limit_ms * 1000)})
    check_equal(daemon.log.wait(r"every worker is asked each (\d+) ms")[1], str(limit_ms // 4), "time between rounds")
    manager.wait("READY")
    manager.wait("WATCHDOG")
    before = daemon.counters()["queries_udp"]
    manager.drain()  # what was said up to now
    for _ in range(4):
        manager.wait("WATCHDOG")
    after = daemon.counters()["queries_udp"]
    check(9 <= after - before <= 60, f"{after - before} questions to 3 workers in about 4 rounds")
    text = open(site.path).read()
    for listen in ('"127.0.0.1@0", "127.0.0.2@0"', '"127.0.0.1@0"'):
        site.write("dnsd.conf", text.replace('"127.0.0.1@0"', listen))
        daemon.reload()
        manager.drain()
        manager.wait("WATCHDOG")
        manager.wait("WATCHDOG")
    check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")
    check(not any("has not answered" in line for line in daemon.log.lines), "no worker was late")


def test_watchdog_beside_limits(case, _):
    """What is asked from loopback for the watchdog needs no PROXY header and has no rate, whatever holds for others there."""
    manager = Manager(case, os.path.join(case.folder, "notify"))
    server = ('proxy-allow = [ "127.0.0.0/8" ];'
              'rate-limit = { enabled = true; positive = 1; all = 1; window = "1s"; slip = 0; };')
    daemon = case.daemon(case.site().pool_site(MIRRORS, workers=2, server=server),
                         more_env=manager.env | {"WATCHDOG_USEC": "2000000"})
    before = daemon.counters()
    manager.drain()
    for _ in range(10):  # four questions a second, where one is allowed
        manager.wait("WATCHDOG")
    after = daemon.counters()
    check(after["queries_udp"] - before["queries_udp"] >= 16, "two workers are asked in each round")
    for name in ("proxy_missing", "rrl_dropped", "rrl_slipped"):
        check_equal(after[name], 0, name)
    check(not any("has not answered" in line for line in daemon.log.lines), "no worker was late")


def process_state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def test_watchdog_misses(case, _):
    """A process that stands still says nothing, and goes on when it can."""
    limit_s = 0.4
    manager = Manager(case, os.path.join(case.folder, "notify"))
    daemon = case.daemon(case.site().pool_site(MIRRORS, workers=2),
                         more_env=manager.env | {"WATCHDOG_USEC": str(int(limit_s * 1e6))})
    manager.wait("WATCHDOG")
    daemon.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: process_state(daemon.pid) == "T", "the process is stopped")
        manager.drain()
        check_equal(manager.receive(3 * limit_s), None, "from a stopped process")
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    manager.wait("WATCHDOG")
    manager.wait("WATCHDOG")
    check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")


class StoppedThread:
    """One thread of a process stands still, the others run. From one thread of ours alone, as ptrace wants it."""

    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, thread):
        self.thread = thread
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def ptrace(self, request):
        if self.libc.ptrace(request, self.thread, None, None) < 0:
            raise Skip(f"no ptrace here: {os.strerror(ctypes.get_errno())}")

    def __enter__(self):
        self.ptrace(self.SEIZE)
        self.ptrace(self.INTERRUPT)
        os.waitpid(self.thread, self.WALL)
        return self

    def __exit__(self, *_):
        self.ptrace(self.DETACH)


def worker_thread(daemon, number):
    for thread in os.listdir(f"/proc/{daemon.pid}/task"):
        with open(f"/proc/{daemon.pid}/task/{thread}/comm") as file:
            if file.read().strip() == f"dnsd-worker-{number}":
                return int(thread)
    raise Failure(f"no thread of worker {number}")


def test_watchdog_hung_worker(case, _):
    """One worker of three hangs: within the limit nothing is told any more, and the log says which one."""
    limit_s = 2.4
    manager = Manager(case, os.path.join(case.folder, "notify"))
    daemon = case.daemon(case.site().pool_site(MIRRORS, workers=3),
                         more_env=manager.env | {"WATCHDOG_USEC": str(int(limit_s * 1e6))})
    manager.wait("WATCHDOG")
    with StoppedThread(worker_thread(daemon, 1)):
        manager.drain()
        # Two of the four rounds in the limit: before the manager ends the process, not just then.
        daemon.log.wait("error: watchdog: worker 1 has not answered for 1200 ms")
        check_equal(manager.receive(2 * limit_s), None, "while a worker hangs")
    manager.wait("WATCHDOG")
    manager.wait("WATCHDOG")
    check(not any("worker 0" in line or "worker 2" in line for line in daemon.log.lines), "the others are not accused")


def test_watchdog_of_another(case, _):
    """A limit that is meant for another process, and one without a socket to tell."""
    manager = Manager(case, os.path.join(case.folder, "notify"))
    daemon = case.daemon(case.site().pool_site(MIRRORS),
                         more_env=manager.env | {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
    manager.wait("READY")
    check_equal(manager.receive(0.5), None, "after READY")
    quiet = case.daemon(case.site().pool_site(MIRRORS), more_env={"WATCHDOG_USEC": "100000"})
    for one in (daemon, quiet):
        check(not any("watchdog" in line for line in one.log.lines), "no word of a watchdog")


def test_no_manager(case, _):
    """A socket that can't be used is told once, and all the rest works."""
    daemon = case.daemon(case.site().pool_site(MIRRORS), more_env={"NOTIFY_SOCKET": "vsock:2:1234"})
    daemon.log.wait("warning: cannot use NOTIFY_SOCKET=vsock:2:1234")
    check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")
    nobody = case.daemon(case.site().pool_site(MIRRORS), more_env={"NOTIFY_SOCKET": case.folder + "/nobody"})
    check_rcode(ask(nobody, "www.clamav.test"), "NOERROR")


# --- another process ---

class MainOnly:
    """A manager as NotifyAccess=main makes it: it hears its main process, which alone can name the next one."""

    def __init__(self, manager, pid):
        self.manager = manager
        self.pid = pid

    def wait(self, key):
        end = time.monotonic() + DEADLINE_S
        while True:
            message = self.manager.receive(end - time.monotonic())
            check(message is not None, f"no {key} within {DEADLINE_S:g} s")
            check_equal(self.manager.sender, self.pid, f"the sender of {message}")
            if "MAINPID" in message:
                self.pid = int(message["MAINPID"])
            if key in message:
                return message


def test_restart_is_told(case, _):
    """Three in a row: MAINPID by the old process, then READY and the watchdog by the new one, and nothing else by anybody."""
    t91_takeover.setup(case)
    manager = Manager(case, os.path.join(case.folder, "notify"))
    for sandbox in ("on", "off"):
        site = t91_takeover.make_site(case, server=f'sandbox = "{sandbox}";', drain_s=0.3)
        env = manager.env | {"WATCHDOG_USEC": "2000000"}
        line = t91_takeover.Line(case, site, more_env=env, **launch_with_pid())
        t91_takeover.need_sandbox(line, sandbox)
        main = MainOnly(manager, line.pid)
        main.wait("READY")
        for _ in range(3):
            main.wait("WATCHDOG")
            line.restart()
            main.wait("MAINPID")
            check_equal(main.pid, line.pid, "MAINPID")
            check_equal(main.wait("STATUS").get("READY"), "1", "the first word of the new one")
        main.wait("WATCHDOG")
        line.wait_others_ended()
        os.kill(line.pid, signal.SIGHUP)
        main.wait("RELOADING")
        main.wait("READY")
        line.stop()
        main.wait("STOPPING")
        manager.drain()


def launch_with_pid():
    """$WATCHDOG_PID as a manager sets it: the process's own."""
    return {"prefix": [sys.executable, "-c", "import os, sys; os.environ['WATCHDOG_PID'] = str(os.getpid()); "
                                             "os.execv(sys.argv[1], sys.argv[1:])"]}


def test_restart_fails_untold(case, _):
    """A new process that comes to nothing: the manager hears of nothing."""
    t91_takeover.setup(case)
    manager = Manager(case, os.path.join(case.folder, "notify"))
    site = t91_takeover.make_site(case, server='sandbox = "on";')
    line = t91_takeover.Line(case, site, more_env=manager.env)
    t91_takeover.need_sandbox(line)
    main = MainOnly(manager, line.pid)
    main.wait("READY")
    t91_takeover.change(site, "workers = 2;", "wokers = 2;")
    line.restart_fails("wokers")
    t91_takeover.change(site, "wokers = 2;", "workers = 2;")
    line.restart()
    check_equal(main.manager.receive(), {"MAINPID": str(line.pid)}, "the next message")
    check_equal(main.manager.sender, line.pids[0], "its sender")


def kill_if_alive(pid):
    if not t91_takeover.has_ended(pid):
        os.kill(pid, signal.SIGKILL)


def test_takeover_is_told(case, _):
    """dnsd --takeover by hand: it and those after it belong to the manager of the process before; one with a manager of its own does not."""
    t91_takeover.setup(case)
    manager, other = (Manager(case, os.path.join(case.folder, name)) for name in ("notify", "other"))
    site = t91_takeover.make_site(case, server='sandbox = "on";', drain_s=0.3)
    first = case.daemon(site, more_env=manager.env | {"WATCHDOG_USEC": "2000000"})
    main = MainOnly(manager, first.pid)
    main.wait("READY")
    second = case.daemon(site, options=["--takeover"])
    main.wait("MAINPID")
    check_equal(main.pid, second.pid, "MAINPID")
    main.wait("READY")
    main.wait("WATCHDOG")
    restarted = second.ctl("restart")["pid"]
    case.stack.callback(kill_if_alive, restarted)
    main.wait("MAINPID")
    check_equal(main.pid, restarted, "MAINPID after a restart")
    main.wait("READY")
    main.wait("WATCHDOG")
    manager.drain()
    third = case.daemon(site, options=["--takeover"], more_env=other.env)
    other.wait("READY")
    check_equal(other.sender, third.pid, "who is ready")
    wait_until(lambda: t91_takeover.has_ended(restarted), "the end of the one before")
    while (message := manager.receive(0)) is not None:
        check("MAINPID" not in message, f"the manager of those before is told {message}")


# --- sockets ---

def bound(case, kind, port, host="127.0.0.1", share=True):
    sock = case.stack.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, share)
    if ":" in host:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((host, port))
    if kind == socket.SOCK_STREAM:
        sock.listen(5)
    return sock


def pair(case, times=1, host="127.0.0.1"):
    """(port, sockets): so many of each kind on one port. Of the kernel's choice one with SO_REUSEPORT may be that of another server."""
    port = free_port(host)
    return port, [bound(case, kind, port, host) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM) for _ in range(times)]


def launch(sockets):
    fds = [sock.fileno() for sock in sockets]
    return {"prefix": [sys.executable, "-c", LAUNCHER, ",".join(map(str, fds))], "pass_fds": fds}


def ask_all(daemon, server, n=60):
    """From many ports, so that every socket of the address has its share."""
    for _ in range(n):
        check_rcode(ask(daemon, "www.clamav.test", server=server), "NOERROR")
    for _ in range(n // 3):
        check_rcode(ask(daemon, "www.clamav.test", server=server, transport=TCP), "NOERROR")


def test_large_buffer(case, _):
    """A buffer that the manager has made larger is not made smaller."""
    port, sockets = pair(case)
    sockets[0].setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 2 << 20)
    before = sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    case.daemon(case.site().pool_site(MIRRORS, workers=2, listen=(f"127.0.0.1@{port}",)), **launch(sockets))
    check_equal(sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), before, "receive buffer")


def test_shared_grows(case, _):
    """Sockets that the manager has bound without ReusePort=: a restart may have more workers, a reload may move to an address that overlaps."""
    t91_takeover.setup(case)
    port = free_port("0.0.0.0")
    sockets = [bound(case, kind, port, share=False) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
    site = t91_takeover.make_site(case, listen=(f"127.0.0.1@{port}",), workers=1, drain_s=0.3)
    line = t91_takeover.Line(case, site, **launch(sockets))
    t91_takeover.change(site, "workers = 1;", "workers = 3;")
    line.restart()
    check_equal(line.ctl("status")["workers"], 3, "workers")
    for sock in sockets:  # nobody reads from the test's own ends
        sock.close()
    ask_all(line, ("127.0.0.1", port))
    t91_takeover.change(site, f'"127.0.0.1@{port}"', f'"0.0.0.0@{port}"')
    line.ctl("reload")
    ask_all(line, ("127.0.0.1", port))


def test_shared(case, _):
    """One socket of each kind, shared by the workers; own listeners beside it; reloads keep it."""
    port, sockets = pair(case)
    site = case.site().pool_site(MIRRORS, workers=2, listen=(f"127.0.0.1@{port}", "127.0.0.2@0"))
    daemon = case.daemon(site, **launch(sockets))
    daemon.log.wait(rf"UDP 127.0.0.1@{port}: 1 sockets of the service manager for 2 workers")
    daemon.log.wait(rf"TCP 127.0.0.1@{port}: 1 sockets of the service manager for 2 workers")
    check_equal(len(daemon.listeners), 2, "listeners")
    for server in daemon.listeners:
        ask_all(daemon, server)
    check_equal([line for line in daemon.reload() if "listening" in line], [], "no socket has changed")
    ask_all(daemon, daemon.addr)
    # Taken out of the configuration and put in again: opened by itself then.
    text = open(site.path).read()
    site.write("dnsd.conf", text.replace(f'"127.0.0.1@{port}", ', ""))
    daemon.reload()
    check_rcode(ask(daemon, "www.clamav.test", server=daemon.listeners[1]), "NOERROR")


def test_one_each(case, _):
    """As many as there are workers; and one kind only, the other is opened here."""
    port, sockets = pair(case, times=2)
    udp_only = bound(case, socket.SOCK_DGRAM, free_port())
    udp_port = udp_only.getsockname()[1]
    site = case.site().pool_site(MIRRORS, workers=2, listen=(f"127.0.0.1@{port}", f"127.0.0.1@{udp_port}"))
    daemon = case.daemon(site, **launch([*sockets, udp_only]))
    daemon.log.wait(rf"UDP 127.0.0.1@{port}: 2 sockets of the service manager for 2 workers")
    ask_all(daemon, ("127.0.0.1", port))
    ask_all(daemon, ("127.0.0.1", udp_port))


def test_wildcard(case, _):
    """Sockets of all addresses: the answer comes from the address that was asked."""
    port, sockets = pair(case, host="0.0.0.0")
    site = case.site().pool_site(MIRRORS, workers=2, listen=(f"0.0.0.0@{port}",))
    daemon = case.daemon(site, **launch(sockets))
    for host in ("127.0.0.1", "127.0.0.7"):
        with Lookups((host, port)) as lookups:
            check_rcode(lookups.ask("www.clamav.test"), "NOERROR")


def test_waits(case, _):
    """A question that comes while nobody serves is answered after the start: the manager's socket has kept it."""
    port, sockets = pair(case)
    site = case.site().pool_site(MIRRORS, workers=2, listen=(f"127.0.0.1@{port}",))
    wire = make_query("www.clamav.test", "A").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE_S)
        for _ in range(2):
            client.sendto(wire, ("127.0.0.1", port))
            daemon = case.daemon(site, **launch(sockets))
            check_rcode(parse_answer(wire, client.recv(4096), 512), "NOERROR")
            daemon.stop()


def metrics_site(case, workers):
    """(site, sockets of DNS, that of the metrics), all of them the manager's."""
    dns_port, dns_sockets = pair(case)
    metrics = bound(case, socket.SOCK_STREAM, free_port())
    site = case.site().pool_site(MIRRORS, workers=workers, listen=(f"127.0.0.1@{dns_port}",))
    with open(site.path, "a") as file:
        file.write(f'metrics: {{ listen = [ "127.0.0.1@{metrics.getsockname()[1]}" ]; }};\n')
    return site, dns_sockets, metrics


def test_metrics_socket(case, _):
    """Metrics on a socket of the manager: a scrape that comes while nobody serves waits in it."""
    site, dns_sockets, metrics = metrics_site(case, workers=2)
    addr = metrics.getsockname()
    for _ in range(2):
        with socket.create_connection(addr, timeout=DEADLINE_S) as scrape:
            scrape.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            daemon = case.daemon(site, **launch([*dns_sockets, metrics]))
            check(scrape.recv(4096).startswith(b"HTTP/1.1 200"), "a scrape that came before the start")
        check_equal([line for line in daemon.reload() if "metrics" in line], [], "a reload keeps the socket")
        check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")
        daemon.stop()
    second = bound(case, socket.SOCK_STREAM, addr[1])
    check_no_start(site, [metrics, second], f"is TCP 127.0.0.1@{addr[1]}, which server.listen does not have, nor metrics.listen, "
                                            "which takes one socket")


def test_metrics_ended(case, _):
    """Who has the socket of the metrics as well may end it: it listens again, also beside connections that have just ended."""
    site, dns_sockets, metrics = metrics_site(case, workers=1)
    addr = metrics.getsockname()
    daemon = case.daemon(site, **launch([*dns_sockets, metrics]))
    for _ in range(3):
        mark = daemon.log.mark()
        metrics.shutdown(socket.SHUT_RDWR)
        daemon.log.wait(f"warning: metrics on 127.0.0.1@{addr[1]}: somebody had ended the socket; it listens again", mark)
        with socket.create_connection(addr, timeout=DEADLINE_S) as scrape:
            scrape.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            check(scrape.recv(4096).startswith(b"HTTP/1.1 200"), "a scrape after that")


def check_no_start(site, sockets, want):
    daemon = Daemon(site.path, ready=False, **launch(sockets))
    try:
        check_equal(daemon.process.wait(DEADLINE_S), 1, "exit status")
        daemon.log.thread.join(DEADLINE_S)
        text = "\n".join(daemon.log.lines)
        check(want in text, f"{want!r} is missing in: {text}")
        daemon.check_log()
    finally:
        daemon.kill()


def test_refused(case, _):
    """Sockets nobody would read are no start, with advice."""
    port, sockets = pair(case)
    site = case.site().pool_site(MIRRORS, workers=1, listen=("127.0.0.1@0",))
    check_no_start(site, sockets,
                   f'is UDP 127.0.0.1@{port}, which server.listen does not have; add "127.0.0.1@{port}"')
    port, sockets = pair(case, times=2)
    site = case.site().pool_site(MIRRORS, workers=1, listen=(f"127.0.0.1@{port}",))
    check_no_start(site, sockets, f"passes 2 UDP sockets for 127.0.0.1@{port} to 1 workers")
    unix = case.stack.enter_context(socket.socket(socket.AF_UNIX))
    check_no_start(site, [unix], "is no internet socket")


# --- how it is started ---

def test_closed_files(case, _):
    """Started without standard input, output and error: nothing else gets their numbers, to have the log written into it."""
    site = case.site().pool_site(MIRRORS, server='control = "ctl.sock";')
    daemon = Daemon(site.path, ready=False, prefix=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
    case.daemons.append(daemon)
    wait_until(lambda: daemon.dnsdctl("status").status == 0, "a server that answers")
    for number in range(3):
        check_equal(os.readlink(f"/proc/{daemon.pid}/fd/{number}"), "/dev/null", f"descriptor {number}")


def test_twice(case, _):
    """A second one at the same address does not start, for the two would take each other's clients; it waits for one that ends."""
    address = f"127.0.0.1@{free_port()}"
    site = case.site().pool_site(MIRRORS, workers=1, listen=(address,))
    first = case.daemon(site)
    second = Daemon(site.path, ready=False)
    check_equal(second.process.wait(DEADLINE_S), 1, "exit status of the second")
    second.log.wait(rf"dnsd.conf:\d+: cannot listen on {address}: another server has this address and port, perhaps a dnsd")
    for _ in range(20):
        check_rcode(ask(first, "www.clamav.test"), "NOERROR")
    first.send_signal(signal.SIGTERM)
    third = case.daemon(site)
    check_equal(first.process.wait(DEADLINE_S), 0, "exit status of the first")
    check_rcode(ask(third, "www.clamav.test"), "NOERROR")


def test_journal_stream(case, _):
    """Priorities for the journal, where standard error is the journal's; time stamps where it is something else by now."""
    becomes = ("import os, sys; st = os.fstat(2); os.environ['JOURNAL_STREAM'] = f'{st.st_dev}:{st.st_ino + int(sys.argv[1])}'; "
               "os.execv(sys.argv[2], sys.argv[2:])")
    for other, want in ((0, r"<6>ready:"), (1, r"\d\d\d\d-\d\d-\d\dT\S+Z info: ready:")):
        daemon = case.daemon(case.site().pool_site(MIRRORS), prefix=[sys.executable, "-c", becomes, str(other)])
        line = next(line for line in daemon.log.lines if "ready:" in line)
        check(re.match(want, line), f"{line!r}, not {want}")


# --- files ---

def test_unit(case, _):
    """The unit's exposure by systemd's own measure."""
    analyze = need_program("systemd-analyze")
    unit = os.path.join(TOP, "contrib", "dnsd.service")
    status, text = run([analyze, "security", "--offline=true", "--no-pager", unit])
    match = re.search(r"exposure level for dnsd.service: ([\d.]+)", text)
    check(match, f"{status} {text}")
    check(float(match[1]) <= 1.6, match[0])
    with open(unit) as file:
        text = file.read()
    for line in ("Type=notify", "NotifyAccess=main", "NoNewPrivileges=yes"):
        check(f"\n{line}\n" in text, f"{line}: what a restart was tried with")


def test_socket_unit(case, _):
    """The addresses of dnsd.socket are those that dnsd listens on by itself."""
    with open(os.path.join(TOP, "contrib", "dnsd.socket")) as file:
        text = file.read()
    for key in ("ListenDatagram", "ListenStream"):
        found = re.findall(rf"^{key}=(.*):(\d+)$", text, re.M)
        check_equal(found, [("0.0.0.0", "53"), ("[::]", "53")], key)
    check("BindIPv6Only=ipv6-only" in text and "Accept=no" in text, "what dnsd asks of its sockets")


# What means NoNewPrivileges where User= is set, by systemd.exec(5) of Debian 12.
NO_NEW_PRIVILEGES = ("NoNewPrivileges", "DynamicUser", "LockPersonality", "MemoryDenyWriteExecute", "PrivateDevices", "ProtectClock",
                     "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "RestrictAddressFamilies",
                     "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "SystemCallArchitectures", "SystemCallFilter",
                     "SystemCallLog")


def test_monitor_unit(case, _):
    """Under mirrormon.service a sendmail with rights of its own keeps them, or no mail leaves."""
    with open(os.path.join(TOP, "contrib", "mirrormon.service")) as file:
        keys = dict(line.split("=", 1) for line in file.read().splitlines() if re.match(r"[A-Z]\w+=", line))
    check_equal((keys["User"], keys["Group"]), ("mirrormon", "dnsd"), "who it runs as")
    check_equal([key for key in NO_NEW_PRIVILEGES if key in keys], [], "takes its rights from sendmail")
