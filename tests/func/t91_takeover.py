"""Restart without a gap: a new process takes the sockets over; no query is lost, no connection reset, no counter goes back."""
import contextlib
import ctypes
import json
import os
import re
import signal
import time
import urllib.request

from harness import (DEADLINE_S, STATE, TCP, Control, Daemon, Failure, Lookups, Skip, Tcp, addresses, ask, check, check_equal, dnsdctl,
                     is_sanitized, make_query, need_program, parse_answer, wait_until)
from t36_options import ask_cookie
from t80_load import Background, Load, Sampler, in_background
from tls_support import Tls, client_context, make_certificate, tls_addr, tls_keys

TAKEOVERS = 15 if is_sanitized() else 100
DRAIN_S = 2.0
MIRRORS = [(f"m{n}.{country}.example", country.upper(), [f"192.0.2.{i * 8 + n}"])
           for i, country in enumerate(("de", "fr")) for n in (1, 2, 3)]
NAMES = [("www.clamav.test", "A"), ("db.de.clamav.test", "A"), ("db.local.clamav.test", "A"), ("no-such.clamav.test", "A")]
PR_SET_CHILD_SUBREAPER = 36


def setup(case):
    """Who is left by its parent becomes our child, so that its exit status is known."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Line:
    """A daemon and those that take over from it: one log, one control socket, one place to stop them all."""

    def __init__(self, case, site, **keywords):
        self.case = case
        self.site = site
        self.daemon = case.daemon(site, **keywords)
        self.pids = [self.daemon.pid]
        self.log = self.daemon.log
        self.addr = self.daemon.addr
        self.reaped = {}
        case.daemons.append(self)  # is stopped before the daemon, which then has ended

    @property
    def pid(self):
        return self.pids[-1]

    def ctl(self, *words):
        return self.daemon.ctl(*words)

    def restart(self):
        result = self.ctl("restart")
        check_equal(result["pid-before"], self.pid, "who handed over")
        check(result["pid"] not in self.pids, f"{result} after {self.pids}")
        self.pids.append(result["pid"])
        return result

    def restart_fails(self, *patterns):
        """Nothing has changed, and the answer says why."""
        said = self.daemon.dnsdctl("restart")
        check_equal((said.status, said.out), (1, ""), f"exit status and output of dnsdctl restart: {said.err}")
        for pattern in patterns:
            check(re.search(pattern, said.err), f"no /{pattern}/ in what dnsdctl restart says: {said.err}")
        check_equal(self.ctl("status")["pid"], self.pid, "who is the server after a restart that failed")
        return said.err

    def wait_ended(self, pid, deadline_s=None):
        """The process has ended well."""
        def ended():
            if pid in self.reaped:
                return True
            if pid == self.daemon.pid:
                if self.daemon.process.poll() is None:
                    return False
                self.reaped[pid] = self.daemon.process.returncode
                return True
            with contextlib.suppress(ChildProcessError):  # still the child of another
                got, status = os.waitpid(pid, os.WNOHANG)
                if got:
                    self.reaped[pid] = os.waitstatus_to_exitcode(status)
            return pid in self.reaped
        wait_until(ended, f"the end of pid {pid}", deadline_s)
        check_equal(self.reaped[pid], 0, f"exit status of pid {pid}")

    def wait_others_ended(self):
        for pid in self.pids[:-1]:
            self.wait_ended(pid, DEADLINE_S + DRAIN_S)

    def stop(self):
        """The others first: while the parent of the last one lives, it alone gets to know the exit status."""
        if self.pid == self.daemon.pid:
            return
        self.wait_others_ended()
        if self.pid not in self.reaped:
            os.kill(self.pid, signal.SIGTERM)
            self.wait_ended(self.pid)

    def kill(self):
        for pid in self.pids:
            if pid not in self.reaped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def make_site(case, listen=("127.0.0.1@0",), workers=2, server='sandbox = "off";', drain_s=DRAIN_S, metrics=True, **conf):
    site = case.site().pool_site(MIRRORS, listen=listen, workers=workers, **conf, server=(
        f'{STATE} restart-drain = "{int(drain_s * 1000)}ms"; {server}'))
    site.folder_for("state")
    if metrics:
        with open(site.path, "a") as file:
            file.write('metrics: { listen = [ "127.0.0.1@0" ]; };\n')
    return site


def change(site, old, new):
    with open(site.path) as file:
        text = file.read()
    check(old in text, f"{old} in the configuration")
    site.write("dnsd.conf", text.replace(old, new))


class TcpClient(Background):
    """One connection at a time, that asks all the time. What a client may meet: a clean end, and then it asks anew."""

    def __init__(self, server, pause_s=0.002):
        super().__init__()
        self.server = server
        self.pause_s = pause_s
        self.answered = self.ended = 0
        self.youngest_s = 1e9

    def turn(self):
        with Tcp(self.server) as tcp:
            opened = time.monotonic()
            while not self.done.is_set():
                try:
                    self.ask(tcp)
                except EOFError:
                    self.youngest_s = min(self.youngest_s, time.monotonic() - opened)
                    self.ended += 1
                    return
                time.sleep(self.pause_s)

    def ask(self, tcp):
        wire = make_query("db.de.clamav.test", "A").to_wire()
        tcp.send(wire)
        parse_answer(wire, tcp.receive())
        self.answered += 1


class Pipeliner(TcpClient):
    """
    Twenty questions at a time, in one segment. The server reads them as one, so it may end before their first answer (its FIN was on its
    way when they were sent) or behind the last one, but not in between. A reset is for who sends without a pause, or does not read, for
    three seconds (docs/operating.md): this one does neither.
    """
    AT_ONCE = 20

    def __init__(self, server, pause_s=0.02):
        super().__init__(server, pause_s)
        question = make_query("db.de.clamav.test", "A").to_wire()[2:]
        self.wires = [i.to_bytes(2, "big") + question for i in range(self.AT_ONCE)]

    def ask(self, tcp):
        tcp.send(*self.wires)
        answers = []
        try:
            for wire in self.wires:
                answers.append(tcp.receive())
                check_equal(answers[-1][:2], wire[:2], "id")
        except EOFError:
            check_equal(len(answers), 0, f"answers to {self.AT_ONCE} questions before the end")
            raise
        parse_answer(self.wires[-1], answers[-1])
        self.answered += self.AT_ONCE


def metrics_of(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE_S) as response:
        text = response.read().decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    values = {name: int(value) for name, value in re.findall(r"^([a-z_]+(?:\{.*\})?) (\d+)$", text, re.M)}
    check(len(values) > 30, f"metrics:\n{text}")
    return {name: value for name, value in values.items() if kinds[name.split("{")[0]] == "counter"}


def check_monotonic(before, after):
    for name, value in before.items():
        check(after.get(name, -1) >= value, f"{name} went from {value} to {after.get(name)}")


def half_capacity(addr):
    """Half of what dnsperf gets answered in a second and a bit."""
    load = Load(addr, NAMES, 10, rate=None)
    time.sleep(1.2)
    statistics = load.stop()
    return max(500, min(statistics["completed"] // 3, 60000)), statistics["sent"]


def test_many_under_load(case, _):
    """100 of them under dnsperf at half capacity, with TCP connections that ask all the time, and commands."""
    need_program("dnsperf")
    site = make_site(case)
    line = Line(case, site)
    port = line.log.wait(r"metrics on 127.0.0.1@(\d+)")[1]
    rate, sent_before = half_capacity(line.addr)
    load = Load(line.addr, NAMES, 280, rate=rate)
    clients = [TcpClient(line.addr) for _ in range(6)] + [TcpClient(line.addr, 0.4)]
    clients += [Pipeliner(line.addr) for _ in range(2)] + [Pipeliner(line.addr, 0.4)]
    said = {}

    def command():
        """An operator who is in the way: what was confirmed must hold."""
        host = f"m{len(said) % 2 + 1}.fr.example"
        action = "down" if said.get(host) != "down" else "up"
        result = dnsdctl("-s", line.daemon.control, "--json", "mirror", action, host, "--reason", "test")
        check_equal(result.status, 0, f"mirror {action}: {result.err}")
        said[host] = action
        time.sleep(0.03)
    operator = Sampler(command)
    try:
        case.stack.enter_context(in_background(*clients, operator))
        before = metrics_of(port)
        slowest_ms = 0
        start = time.monotonic()
        for _ in range(TAKEOVERS):
            slowest_ms = max(slowest_ms, line.restart()["took-ms"])
            after = metrics_of(port)
            check_monotonic(before, after)
            before = after
        took_s = time.monotonic() - start
        time.sleep(DRAIN_S)  # the last connections of the last but one are told to end
        operator.finish()
        for client in clients:
            client.finish()
    finally:
        statistics = load.stop()
    print(f"     {TAKEOVERS} takeovers in {took_s:.1f} s, the slowest {slowest_ms} ms; {rate} queries/s; {statistics}; "
          f"TCP: {sum(c.answered for c in clients)} answers, {sum(c.ended for c in clients)} clean ends; {operator.n} commands")
    check_equal(statistics.get("lost"), 0, f"queries lost; dnsperf says:\n{load.text}")
    check(statistics["completed"] > rate * took_s / 3, f"{statistics} in {took_s:.0f} s at {rate}/s")
    check(took_s < 60 or is_sanitized(), f"{TAKEOVERS} takeovers took {took_s:.0f} s")
    for client in clients:
        check(client.answered > 10, f"a TCP client got only {client.answered} answers")
        check(client.youngest_s > DRAIN_S * 0.95, f"a connection was ended after {client.youngest_s:.2f} s")
    check(sum(client.ended for client in clients) > 6, "no connection of a process before has been ended")
    line.wait_others_ended()

    # Nothing was counted twice, nothing lost.
    def totals():
        stats = line.ctl("stats")
        return stats["queries_udp"], stats["queries_tcp"], stats["tcp_open"]
    want = (sent_before + statistics["sent"], sum(client.answered for client in clients), 0)
    with contextlib.suppress(Failure):
        wait_until(lambda: totals() == want, "counters", 3)
    check_equal(totals(), want, "queries over UDP, over TCP, open connections")
    check_monotonic(before, metrics_of(port))
    by_worker = sum(value for name, value in metrics_of(port).items() if name.startswith("dnsd_queries_total"))
    check_equal(by_worker, want[0] + want[1], "requests by worker")
    states = {mirror["mirror"]: mirror["state"] for mirror in line.ctl("pool", "show")[0]["mirrors"]}
    for host, action in said.items():
        check_equal(states[host] == "in", action == "up", f"{host}, last told to be {action}")
    check_state(site, said)


def check_state(site, said):
    """What is on disk is whole, and what was said last."""
    with open(site.file("state/overrides.json")) as file:
        kept = json.load(file)
    actions = {entry["mirror"]: entry["action"] for entry in kept["overrides"]}
    check_equal(actions, said, "overrides on disk")
    last_s = 0
    with open(site.file("state/journal.jsonl")) as file:
        for text in file:
            record = json.loads(text)
            check(record["t"] >= last_s, f"the journal goes back at {text}")
            last_s = record["t"]


def test_state_goes_on(case, _):
    """Overrides, generation, serial, counters by country and mirror: as if nothing had been."""
    site = make_site(case)
    line = Line(case, site)
    port = line.log.wait(r"metrics on 127.0.0.1@(\d+)")[1]
    line.ctl("mirror", "down", "m1.de.example", "--reason", "disk")
    for _ in range(7):
        ask(line, "db.local.clamav.test", ecs="192.0.2.0/24", source="127.2.0.1")
    ask(line, "2.1.2.0.m2.de.example.ping.clamav.test")
    before, status = metrics_of(port), line.ctl("status")
    serial = ask(line, "clamav.test", "SOA").answer[0][0].serial
    fds_before = fds_n(line.pid)
    for _ in range(3):
        line.restart()
    line.wait_others_ended()
    wait_until(lambda: fds_n(line.pid) <= fds_before, f"no more descriptors than the {fds_before} at first")
    after, now = metrics_of(port), line.ctl("status")
    for name, value in before.items():
        if "country" in name or "mirror=" in name:
            check_equal(after[name], value, name)
    check(sum(value for name, value in after.items() if "by_country" in name) == 7, f"by country: {after}")
    check(now["generation"] > status["generation"], f"generation {status['generation']} to {now['generation']}")
    check(ask(line, "clamav.test", "SOA").answer[0][0].serial >= serial, "the serial goes back")
    check("192.0.2.1" not in addresses(ask(line, "db.de.clamav.test")), "the override is forgotten")
    # A mirror that the new configuration has no more keeps its series.
    ask(line, "db.fr.clamav.test")
    first = {name: value for name, value in metrics_of(port).items() if "pool_answers" in name and ".fr." in name}
    site.write("mirrors.conf", 'mirrors = ( { host = "m1.de.example"; country = "DE"; addresses = [ "192.0.2.1" ]; } );\n')
    line.restart()
    check_monotonic(first, metrics_of(port))
    check(sum(first.values()) >= 1, f"answers by mirror: {first}")


def test_without_state_directory(case, _):
    """Overrides are nowhere on disk, and in force all the same."""
    site = make_site(case)
    change(site, 'state-directory = "state";', "")
    line = Line(case, site)
    line.ctl("mirror", "down", "m1.de.example", "--reason", "disk")
    line.restart()
    check("192.0.2.1" not in addresses(ask(line, "db.de.clamav.test")), "the override is forgotten")
    change(site, 'control = "ctl.sock";', 'control = "ctl.sock"; state-directory = "state";')
    line.restart()
    wait_until(lambda: os.path.exists(site.file("state/overrides.json")), "overrides on disk")
    line.restart()
    check("192.0.2.1" not in addresses(ask(line, "db.de.clamav.test")), "the override is forgotten")


def test_serial_rises(case, _):
    """More changes than seconds take the serial past the clock: what the new process answers otherwise has a higher one."""
    site = make_site(case)
    line = Line(case, site)
    with Control(line.daemon.control) as control:
        for i in range(40):
            control.do("mirror", mirror="m1.de.example", action=("down", "up")[i % 2], reason="test")
    before = ask(line, "clamav.test", "SOA").answer[0][0].serial
    check(before > time.time() + 1, f"serial {before} at {time.time():.0f}: the changes took too long to show anything")
    site.write("mirrors.conf", 'mirrors = ( { host = "m1.de.example"; country = "DE"; addresses = [ "192.0.2.99" ]; } );\n')
    before_pid = line.pid
    line.restart()
    wait_until(lambda: has_ended(before_pid), "the end of the old process")  # whose workers answer what they find until they have closed
    check("192.0.2.99" in addresses(ask(line, "db.de.clamav.test")), "the new mirrors file")
    after = ask(line, "clamav.test", "SOA").answer[0][0].serial
    check(after > before, f"serial {before}, then {after}")


def fds_n(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_workers_change(case, _):
    """Fewer workers serve all sockets that were handed over, more get some of their own."""
    need_program("dnsperf")
    site = make_site(case)
    line = Line(case, site)
    load = Load(line.addr, NAMES, 60, rate=1000)
    try:
        for before, after in ((2, 1), (1, 4), (4, 3)):
            change(site, f"workers = {before};", f"workers = {after};")
            line.restart()
            check_equal(line.ctl("status")["workers"], after, "workers")
            for _ in range(40):  # from as many ports: to all sockets
                ask(line, "www.clamav.test")
            for _ in range(10):
                ask(line, "www.clamav.test", transport=TCP)
        line.daemon.ctl("reload")
        for _ in range(40):
            ask(line, "www.clamav.test")
    finally:
        statistics = load.stop()
    check_equal(statistics.get("lost"), 0, f"queries lost:\n{load.text}")


def test_configuration_changes(case, _):
    """The new process serves what the configuration says by then: another address, control socket, metrics port."""
    site = make_site(case, listen=("127.0.0.1@0", "127.0.0.2@0"))
    line = Line(case, site)
    first, second = line.daemon.listeners
    port = line.log.wait(r"metrics on 127.0.0.1@(\d+)")[1]
    mark = line.log.mark()
    change(site, '"127.0.0.2@0"', '"127.0.0.3@0"')
    change(site, 'metrics: { listen = [ "127.0.0.1@0" ]; };', 'metrics: { listen = [ "127.0.0.2@0" ]; };')
    change(site, '"ctl.sock"', '"other.sock"')
    line.restart()
    line.log.wait(r"ready: .*pid=" + str(line.pid), mark)
    listeners = line.daemon.listening(mark)
    check_equal(listeners[0], first, "the address that stays")
    line.addr = listeners[1]
    ask(line, "www.clamav.test")
    line.wait_others_ended()
    with contextlib.suppress(OSError), Tcp(second):
        check(False, f"{second} is still served")
    with contextlib.suppress(OSError):
        metrics_of(port)
        check(False, "metrics are still on the old port")
    check(not os.path.exists(line.daemon.control), "the old control socket is still there")
    check_equal(dnsdctl("-s", site.file("other.sock"), "status").status, 0, "status over the new control socket")


def children_of(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    return []


def launcher_of(pid):
    for child in children_of(pid):
        with contextlib.suppress(OSError):
            with open(f"/proc/{child}/comm") as file:
                if file.read() == "dnsd-launcher\n" and not has_ended(child):
                    return child
    return None


def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


def need_sandbox(line, sandbox="on"):
    if line.ctl("status")["sandbox"] != sandbox:
        raise Skip("no seccomp filters here")


def test_from_outside(case, _):
    """dnsd --takeover: in place of the running one, or as a start like any other."""
    site = make_site(case, server="")  # in the sandbox
    line = Line(case, site, options=["--takeover"])
    line.log.wait(r"no server is running: a start like any other")
    with Lookups(line.addr) as lookups, Tcp(line.addr) as tcp:
        lookups.ask("www.clamav.test")
        tcp.send(make_query("www.clamav.test", "A").to_wire())
        tcp.receive()
        second = case.daemon(site, options=["--takeover"])
        line.pids.append(second.pid)
        line.reaped[second.pid] = 0  # a Daemon, which the case stops
        lookups.ask("www.clamav.test")
        wire = make_query("www.clamav.test", "A").to_wire()
        tcp.send(wire)
        parse_answer(wire, tcp.receive())
        check_equal(second.ctl("status")["pid"], second.pid, "who is the server")
        check_equal(second.addr, line.addr, "its address")
        check(tcp.is_closed(DRAIN_S + DEADLINE_S), "the connection of the one before goes on for ever")
    line.wait_ended(line.daemon.pid)
    wait_until(lambda: second.ctl("stats")["queries_tcp"] == 2, "the query that the process before has answered")
    change(site, "workers = 2;", "wokers = 2;")
    third = Daemon(site.path, ready=False, options=["--takeover"])
    check_equal(third.process.wait(DEADLINE_S), 1, "exit status of one that fails")
    third.log.wait("unknown setting")
    check_equal(second.ctl("status")["pid"], second.pid, "who is the server after one that failed")


def test_many_from_outside(case, _):
    """The same under load, with every process in the sandbox."""
    need_program("dnsperf")
    site = make_site(case, server="")
    daemon = case.daemon(site)
    load = Load(daemon.addr, NAMES, 100, rate=2000)
    clients = [TcpClient(daemon.addr) for _ in range(3)]
    case.stack.enter_context(in_background(*clients))
    before = daemon.ctl("stats")
    try:
        for _ in range(TAKEOVERS // 3):
            daemon = case.daemon(site, options=["--takeover"])
            after = daemon.ctl("stats")
            del before["tcp_open"]
            check_monotonic(before, after)
            before = after
        time.sleep(DRAIN_S)
        for client in clients:
            client.finish()
    finally:
        statistics = load.stop()
    check_equal(statistics.get("lost"), 0, f"queries lost:\n{load.text}")
    check(sum(client.ended for client in clients) >= 3, "no connection of a process before has been ended")
    want = statistics["sent"], sum(client.answered for client in clients)
    with contextlib.suppress(Failure):
        wait_until(lambda: (daemon.ctl("stats")["queries_udp"], daemon.ctl("stats")["queries_tcp"]) == want, "counters", 5)
    stats = daemon.ctl("stats")
    check_equal((stats["queries_udp"], stats["queries_tcp"]), want, "queries over UDP, over TCP")


def test_sandbox(case, _):
    """One restart after the other where no thread may start a program: each process has its own launcher for that."""
    need_program("dnsperf")
    site = make_site(case, server='sandbox = "on";', drain_s=DEADLINE_S)
    line = Line(case, site)
    need_sandbox(line)
    load = Load(line.addr, NAMES, 100, rate=2000)
    clients = [TcpClient(line.addr) for _ in range(3)]
    for client in clients:
        client.start()
    launchers = []
    held = None
    try:
        for i in range(3):
            launchers.append(launcher_of(line.pid))
            check(launchers[-1] and launchers[-1] not in launchers[:-1], f"launchers {launchers}")
            if i == 2:
                held = Tcp(line.addr)
                held.send(make_query("www.clamav.test", "A").to_wire())
                held.receive()
            line.restart()
            check_equal(line.ctl("status")["sandbox"], "on", "sandbox of the new process")
            with open(f"/proc/{line.pid}/status") as file:
                check("Seccomp:\t2\n" in file.read(), f"a filter of pid {line.pid}")
            # The one before needs none while its last connections end.
            wait_until(lambda: has_ended(launchers[-1]), f"the end of launcher {launchers[-1]}")
            if i == 1:  # one that fails in between
                change(site, "workers = 2;", "wokers = 2;")
                line.restart_fails(r"unknown setting \"wokers\"")
                change(site, "wokers = 2;", "workers = 2;")
        before = line.log.mark()
        os.kill(line.pids[-2], signal.SIGHUP)
        line.log.wait(r"reloaded", before)  # passed on by one that still has connections
    finally:
        if held:
            held.__exit__(None, None, None)
        for client in clients:
            client.done.set()
        statistics = load.stop()
    for client in clients:
        client.finish()
    check_equal(statistics.get("lost"), 0, f"queries lost:\n{load.text}")
    last = launcher_of(line.pid)
    check(last, "the last process has a launcher")
    line.wait_others_ended()
    line.stop()
    wait_until(lambda: has_ended(last), "the end of the last launcher")


def test_secrets(case, _):
    """What stands in no file: a TLS session goes on, and a cookie is still a good one; not so in a process of its own."""
    site = make_site(case, server=tls_keys())
    make_certificate(site)
    line = Line(case, site)
    addr, context, wire = tls_addr(line.daemon), client_context(), make_query("www.clamav.test", "A").to_wire()

    def exchange(server, session):
        """(session for the next one, was this one resumed?)"""
        with Tls(server, context, session) as tls:
            tls.send(wire)
            parse_answer(wire, tls.receive())
            tls.say_goodbye()
            return tls.tls.session, tls.tls.session_reused
    session, _ = exchange(addr, None)
    cookie = ask_cookie(line)[2]
    for _ in range(3):
        line.restart()
        line.wait_others_ended()  # up to then one of them may have the answer
        session, resumed = exchange(addr, session)
        check(resumed, f"the session of the process before is not known to pid {line.pid}")
        wait_until(lambda: line.ctl("stats")["tls_resumed"] > 0, "tls_resumed")
        before = line.ctl("stats")["cookie_valid"]
        check_equal(ask_cookie(line, cookie), ("NOERROR", 1, cookie), "with a cookie of the first process")
        wait_until(lambda: line.ctl("stats")["cookie_valid"] == before + 1, "cookie_valid")
    # A file of secrets goes before what is handed over.
    site.write("secrets", "e5e973e5a6b2a43f48e7dc849e37bfcf\n")
    os.chmod(site.file("secrets"), 0o600)
    change(site, 'control = "ctl.sock";', 'control = "ctl.sock"; cookie-secret-file = "secrets";')
    line.restart()
    line.wait_others_ended()
    check(ask_cookie(line, cookie)[2] != cookie, "a cookie of the random secret, where a file has another")
    line.stop()
    again = case.daemon(site)
    session, resumed = exchange(tls_addr(again), session)
    check(not resumed, "a session is resumed after the end of all who knew its key")


def test_tls(case, _):
    """TLS listeners are handed over; a connection of the old process ends as TLS wants it."""
    site = make_site(case, drain_s=4, server='sandbox = "off"; ' + tls_keys())
    make_certificate(site)
    line = Line(case, site)
    addr = tls_addr(line.daemon)
    wire = make_query("www.clamav.test", "A").to_wire()
    with Tls(addr, client_context()) as old:
        old.send(wire)
        parse_answer(wire, old.receive())
        line.restart()
        with Tls(addr, client_context()) as new:
            new.send(wire)
            parse_answer(wire, new.receive())
        old.send(wire)
        parse_answer(wire, old.receive())
        with contextlib.suppress(EOFError):
            old.receive()
            check(False, "the connection goes on")
    line.wait_others_ended()
    wait_until(lambda: line.ctl("stats")["queries_tls"] == 3, "queries over TLS")


def test_slow_reader(case, _):
    """A connection in the middle of a request or an answer is ended behind it, not in it."""
    site = make_site(case, drain_s=0.3)
    line = Line(case, site)
    wire = make_query("db.de.clamav.test", "A").to_wire()
    frame = Tcp.frame(wire)
    with Tcp(line.addr) as tcp:
        tcp.send(wire)
        tcp.receive()
        tcp.send_raw(frame[:7])
        line.restart()
        time.sleep(0.8)
        tcp.send_raw(frame[7:])
        parse_answer(wire, tcp.receive())
        check(tcp.is_closed(DEADLINE_S), "the connection goes on")
    line.wait_ended(line.daemon.pid)


def test_many_sockets(case, _):
    """More sockets than the limit of files that a process starts with: who takes over raises it before they come."""
    site = make_site(case, listen=[f"127.0.0.{i}@0" for i in range(1, 9)], workers=4, server='sandbox = "on";', metrics=False)
    line = Line(case, site, prefix=("prlimit", "--nofile=48:4096"))
    need_sandbox(line)
    line.restart()
    check(addresses(ask(line, "db.de.clamav.test")), "an answer of the new process")
