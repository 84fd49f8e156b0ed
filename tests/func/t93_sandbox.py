"""The rights dnsd gives up, and the system calls it keeps to.

As root: the user is nobody. What each filter does to a forbidden call is in tests/unit/sandbox_test.c.
"""
import datetime
import os
import pwd
import random
import re
import resource
import shutil
import socket
import ssl
import struct
import threading

import t91_takeover
from harness import (CONTROL, DEADLINE_S, DNSD, STATE, TCP, TOP, Failure, Lookups, Skip, Tcp, addresses, ask, check, check_equal,
                     check_rcode, cvd_file, geo_file, is_sanitized, make_query, need_program, open_socket, parse_answer, run, text_of,
                     wait_until)
from tls_support import Tls, client_context, make_certificate, tls_addr, tls_keys

MIRRORS = [("m1.de.example", "DE", ["192.0.2.1", "2001:db8::1"]), ("m2.fr.example", "FR", ["192.0.2.2"])]
USER = "nobody"


def lists():
    """{kind: {call}} as built in."""
    status, text = run([DNSD, "--print-sandbox"])
    check_equal(status, 0, text)
    found = {"worker": set(), "main": set(), "killed": set()}
    for line in text.splitlines():
        kind, name, _, why = line.split("\t")
        check(why, f"{line!r} says no reason")
        found[kind].add(name)
    return found


def thread_status(daemon, field):
    """The field of each thread's status, {thread: value}."""
    found = {}
    for thread in os.listdir(f"/proc/{daemon.pid}/task"):
        try:
            with open(f"/proc/{daemon.pid}/task/{thread}/status") as file:
                found[thread] = re.search(rf"^{field}:\s*(.*)$", file.read(), re.M)[1].split()
        except FileNotFoundError:
            pass
    return found


def check_threads(daemon, field, want):
    """A thread may be on its way to it."""
    def there():
        return all(values[:len(want)] == want for values in thread_status(daemon, field).values())
    try:
        wait_until(there, field)
    except Failure:
        pass
    for thread, values in thread_status(daemon, field).items():
        check_equal(values[:len(want)], want, f"{field} of thread {thread}")


def free_low_port():
    """A port under 1024 that nobody has, and that needs a right."""
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        start = int(file.read())
    # The tests of another build may look at the same time, and servers of one user share a port without a word.
    ports = range(600, 800) if is_sanitized() else range(800, 1001)
    for port in random.sample(ports, len(ports)):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
                udp.bind(("127.0.0.1", port))
                tcp.bind(("127.0.0.1", port))
        except OSError:
            continue
        if port < start:
            return port
    raise Skip("no port here needs the right to bind it")


def need_root():
    if os.geteuid() != 0:
        raise Skip("this needs root")


def user_site(case, **conf):
    """A site that the user may read, with a state directory of its own."""
    need_root()
    os.chmod(case.folder, 0o755)
    site = case.site()
    shutil.copy(geo_file(), site.file("geo.mmdb"))
    site.pool_site(MIRRORS, **({"geo": ""} | conf))
    entry = pwd.getpwnam(USER)
    os.chown(site.folder, entry.pw_uid, entry.pw_gid)
    os.chown(site.folder_for("state"), entry.pw_uid, entry.pw_gid)
    return site


# --- lists ---

def test_documented(case, _):
    """docs/sandbox.md has the lists, each call with its limit and reason."""
    if is_sanitized():
        raise Skip("a sanitizer has a list of its own")
    status, text = run([DNSD, "--print-sandbox"])
    check_equal(status, 0, text)
    with open(os.path.join(TOP, "docs", "sandbox.md")) as file:
        page = file.read()
    rows = {kind: [] for kind in ("worker", "main", "killed")}
    kind = None
    for line in page.splitlines():
        heading = re.match(r"#+ .*\((worker|main|killed)\)", line)
        if line.startswith("#"):
            kind = heading[1] if heading else None
        row = re.match(r"\| `(\w+)` \| (.*) \| (.*) \|$", line)
        if row and kind:
            rows[kind].append((row[1], row[2] or "-", row[3]))
    built = {kind: [] for kind in rows}
    for line in text.splitlines():
        kind, name, limit, why = line.split("\t")
        built[kind].append((name, limit, why))
    built["main"] = [row for row in built["main"] if row not in built["worker"]]
    for kind, want in built.items():
        check_equal(rows[kind], want, f"docs/sandbox.md, {kind}")


def exercise_tls(daemon):
    """A whole handshake and one by its ticket, with TLS 1.3 and 1.2, questions and a goodbye; and what is no TLS."""
    query = make_query("db.de.clamav.test", "A").to_wire()
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        context, session = client_context(version), None
        for resumed in (False, True):
            with Tls(tls_addr(daemon), context, session) as tls:
                check_equal(tls.tls.session_reused, resumed, "a handshake by a ticket")
                tls.send(*[query] * 49)
                tls.send(query)
                for _ in range(50):
                    parse_answer(query, tls.receive())
                session = tls.tls.session  # with 1.3 the ticket comes behind the handshake
                tls.say_goodbye()
                check_equal(tls.ends(), "goodbye", "the end")
    with Tcp(tls_addr(daemon)) as tcp:
        tcp.send_raw(b"GET / HTTP/1.1\r\nHost: ns1\r\n\r\n")
        check(tcp.is_closed(DEADLINE_S), "a client of HTTP is not closed")


def exercise(case, site, daemon):
    """All that a worker does, and much of what the main thread does."""
    for transport in ("udp", TCP):
        for name, kind in (("db.de.clamav.test", "A"), ("db.local.clamav.test", "AAAA"), ("www.clamav.test", "A"),
                           ("nowhere.clamav.test", "A"), ("db.de.big.clamav.test", "A")):
            ask(daemon, name, kind, transport=transport)
    with Lookups(daemon.addr) as lookups:
        for _ in range(200):
            lookups.ask("db.fr.clamav.test")
    # Many queries in one segment, half a query, a client that never reads, one that is reset.
    query = make_query("db.de.clamav.test", "A").to_wire()
    with Tcp(daemon.addr) as tcp:
        tcp.send(*[query] * 500)
        for _ in range(500):
            tcp.receive()
        tcp.send_raw(b"\x00")
    with Tcp(daemon.addr) as tcp:
        tcp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        tcp.sock.settimeout(1)
        try:
            for _ in range(200):
                tcp.send(*[query] * 100)
        except OSError:
            pass
        tcp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exercise_tls(daemon)
    threads = [threading.Thread(target=lambda: ask(daemon, "db.de.clamav.test", transport=TCP)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The main thread and its background: commands, feeds, reloads with other listeners, metrics.
    daemon.ctl("status")
    daemon.ctl("mirror", "down", "m1.de.example", "--reason", "test", "--for", "1h")
    daemon.ctl("explain", "db.de.clamav.test")
    daemon.ctl("stats")
    site.write("feed.json", '{"serial": 1, "generated": "2026-11-21T07:00:00Z", "mirrors": []}')
    with socket.create_connection(daemon.metrics) as http:
        http.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        check(http.recv(64).startswith(b"HTTP/1.1 200"), "the metrics are served")
        while http.recv(65536):
            pass
    site.write("cvd/daily.cvd", cvd_file(11))
    with open(geo_file(), "rb") as file:
        site.write("geo.mmdb", file.read())
    wait_until(lambda: ":11:" in text_of(ask(daemon, "current.cvd.clamav.test", "TXT")), "the new version is served")
    daemon.ctl("explain", "db.de.clamav.test", "--at", datetime.datetime.utcnow().strftime("%Y-%m-%dT%H:%M:%SZ"))
    main_addr = daemon.addr
    text = open(site.path).read()
    more = text.replace('"127.0.0.1@0"', '"127.0.0.1@0", "127.0.0.2@0", "::1@0"', 1)
    site.write("dnsd.conf", more.replace("ctl.sock", "ctl2.sock"))
    mark = daemon.log.mark()
    daemon.reload()
    for server in daemon.listening(mark):
        ask(daemon, "www.clamav.test", server=server)
        ask(daemon, "www.clamav.test", server=server, transport=TCP)
    daemon.log.wait("control socket: .*ctl2.sock", mark)
    site.write("dnsd.conf", text.replace("workers = 2;", "workers = 2; bogus = 1;"))
    daemon.reload(fails=True)
    site.write("dnsd.conf", text)
    daemon.reload()
    daemon.counters()
    check_rcode(ask(daemon, "www.clamav.test", server=main_addr), "NOERROR")


def expand_set(analyze, name):
    """The calls of a set of systemd's, of the sets in it too."""
    status, text = run([analyze, "syscall-filter", "--no-pager", name])
    check_equal(status, 0, text)
    calls = set()
    for line in text.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            calls |= expand_set(analyze, word)
        elif word and not word.startswith("#"):
            calls.add(word)
    return calls


def check_unit_allows(trace):
    """The filter of contrib/dnsd.service lets through whatever dnsd has called, from its first instruction."""
    analyze = shutil.which("systemd-analyze")
    if not analyze or is_sanitized():
        return
    allowed = set()
    with open(os.path.join(TOP, "contrib", "dnsd.service")) as file:
        for value in re.findall(r"^SystemCallFilter=(.*)$", file.read(), re.M):
            names = value.lstrip("~").split()
            calls = set().union(*[expand_set(analyze, name) if name.startswith("@") else {name} for name in names])
            allowed = allowed - calls if value.startswith("~") else allowed | calls
    with open(trace, errors="replace") as file:
        made = {match[1] for match in re.finditer(r"^\d+\s+(\w+)\(", file.read(), re.M)}
    check_equal(made - allowed - {"execve", "setgroups"}, set(), "calls that the unit's SystemCallFilter refuses")


def traced_calls(path, pid):
    """({thread: kind}, {kind: {call: example}} made under a filter, [refused])"""
    kinds, launchers = {str(pid): "main"}, set()
    confined, made, refused = set(), {"worker": {}, "main": {}}, []
    with open(path, errors="replace") as file:
        for line in file:
            name = re.match(r'(\d+)\s+prctl\(PR_SET_NAME, "dnsd-worker', line)
            if name:
                kinds[name[1]] = "worker"
            launcher = re.match(r'(\d+)\s+prctl\(PR_SET_NAME, "dnsd-launcher', line)
            if launcher:
                launchers.add(launcher[1])
    check_equal(len(launchers), 1, "processes that have no filter: the launcher")
    with open(path, errors="replace") as file:
        for line in file:
            call = re.match(r"(\d+)\s+(\w+)\(", line)
            if not call:
                end = re.match(r"\d+\s+<\.\.\. (\w+) resumed>.* EPERM ", line)
                if end and end[1] not in ("connect", "setsockopt"):
                    refused.append(line.strip())
                continue
            thread, name = call[1], call[2]
            if thread in launchers:
                continue
            kind = kinds.setdefault(thread, "main")  # of the pool: begun under the main thread's filter
            if thread == str(pid) or kind == "worker":
                if name == "seccomp" and "SET_MODE_FILTER" in line and "NULL" not in line:
                    confined.add(thread)
                    continue
                if thread not in confined:
                    continue
            # libc asks its cache daemon for names of users first, and goes on without it.
            if name == "connect" and "/nscd/socket" in line:
                continue
            made[kind].setdefault(name, line.strip())
            # That one needs CAP_NET_ADMIN, and an ordinary user goes on without it.
            if "EPERM" in line and not ("setsockopt" in line and "BUFFORCE" in line):
                refused.append(line.strip())
    check(str(pid) in confined, "the main thread installs a filter")
    workers = [thread for thread, kind in kinds.items() if kind == "worker"]
    check(len(workers) == 2 and confined.issuperset(workers), f"each worker installs a filter: {workers}")
    return made, refused


def test_calls(case, _):
    """Every call that strace sees of a thread, under load, is on its list, and the filter refuses none."""
    strace = need_program("strace")
    site = case.site()
    shutil.copy(geo_file(), site.file("geo.mmdb"))
    site.folder_for("state")
    site.write("cvd/daily.cvd", cvd_file(10))
    make_certificate(site)
    site.pool_site(MIRRORS, pool={"feed": '"feed.json"'}, server=STATE + tls_keys(), workers=2, geo='database = "geo.mmdb";',
                   versions='{ name = "current.cvd"; directory = "cvd"; software = "1.4.3"; main = 1; '
                            'bytecode = 1; }')
    with open(site.path, "a") as file:
        file.write('metrics: { listen = [ "127.0.0.1@0" ]; };\n')
    trace = site.file("trace")
    daemon = case.daemon(site, prefix=[strace, "-D", "-f", "-q", "-s", "16", "-o", trace],
                         more_env={"ASAN_OPTIONS": "detect_leaks=0"})
    match = daemon.log.wait(r"metrics on (\S+)@(\d+)")
    daemon.metrics = (match[1], int(match[2]))
    check_threads(daemon, "Seccomp", ["2"])
    exercise(case, site, daemon)
    daemon.stop()
    # strace is on its own, and done when it has written the end.
    wait_until(lambda: re.search(rf"^{daemon.pid}\s+\+\+\+ exited", open(trace, errors="replace").read(), re.M),
               "strace has written all")
    made, refused = traced_calls(trace, daemon.pid)
    allowed = lists()
    for kind in ("worker", "main"):
        names = allowed[kind] | ({"clone3"} if kind == "main" else set())  # answered ENOSYS on purpose
        unlisted = {name: line for name, line in made[kind].items() if name not in names}
        check_equal(unlisted, {}, f"calls of {kind} threads that are not on the list")
    check_equal(refused, [], "calls that were refused")
    for name in ("recvmmsg", "sendmmsg", "accept4", "read", "write", "close", "exit"):
        check(name in made["worker"], f"the load has made a worker call {name}: {sorted(made['worker'])}")
    for name in ("openat", "rename", "socket", "bind", "fsync", "clone"):
        check(name in made["main"], f"the exercise has made the main thread call {name}: {sorted(made['main'])}")
    check_unit_allows(trace)


def test_unused(case, _):
    """Off means none; log means that the filters are there and refuse nothing."""
    site = case.site().pool_site(MIRRORS, server=CONTROL + 'sandbox = "off";')
    daemon = case.daemon(site)
    check_threads(daemon, "Seccomp", ["0"])
    check_equal(daemon.ctl("status")["sandbox"], "off", "sandbox")
    site = case.site().pool_site(MIRRORS, server=CONTROL + 'sandbox = "log";')
    daemon = case.daemon(site)
    check_threads(daemon, "Seccomp", ["2"])
    check_equal(daemon.ctl("status")["sandbox"], "log", "sandbox")
    ask(daemon, "www.clamav.test", transport=TCP)


def test_descriptors(case, _):
    """No descriptor left for TCP clients, again and again: UDP goes on, and TCP as soon as there are some."""
    daemon = case.daemon(case.site().pool_site(MIRRORS, server=CONTROL, workers=1))
    check_equal(daemon.ctl("status")["sandbox"], "on", "sandbox")
    before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    for _ in range(3):
        used = max(int(fd) for fd in os.listdir(f"/proc/{daemon.pid}/fd"))
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (used + 4, before[1]))
        clients = [open_socket(daemon.addr, socket.SOCK_STREAM) for _ in range(20)]
        for _ in range(20):
            check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
        for client in clients:
            client.close()
        check_rcode(ask(daemon, "www.clamav.test", transport=TCP), "NOERROR")


# --- rights ---

def test_user(case, _):
    """Bound as root, served as an ordinary user without any capability; reload and state work as that user."""
    port = None
    try:
        port = free_low_port()
    except Skip:
        pass
    listen = ("127.0.0.1@0", f"127.0.0.1@{port}") if port else ("127.0.0.1@0",)
    site = user_site(case, listen=listen, server=f'user = "{USER}";' + STATE, geo='database = "geo.mmdb";')
    daemon = case.daemon(site)
    uid = str(pwd.getpwnam(USER).pw_uid)
    check_threads(daemon, "Uid", [uid] * 4)
    check_threads(daemon, "Gid", [str(pwd.getpwnam(USER).pw_gid)] * 4)
    for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        check_threads(daemon, field, ["0" * 16])
    check_threads(daemon, "NoNewPrivs", ["1"])
    check_threads(daemon, "Seccomp", ["2"])
    check_equal(os.stat(f"/proc/{daemon.pid}/mem").st_uid, 0, "owner of its memory: not dumpable")
    status = daemon.ctl("status")
    check_equal((str(status["uid"]), status["sandbox"], status["problems"]), (uid, "on", []), "status")
    for server in daemon.listeners:
        check_rcode(ask(daemon, "www.clamav.test", server=server), "NOERROR")
    daemon.ctl("mirror", "down", "m1.de.example", "--reason", "test", "--for", "1h")
    check_equal(os.stat(site.file("state/overrides.json")).st_uid, int(uid), "owner of the state")
    text = open(site.path).read()
    nets = 'nets = ( { net = "192.0.2.192/26"; country = "FR"; } );'
    site.write("dnsd.conf", text.replace('"geo.mmdb";', f'"geo.mmdb"; {nets}'))
    lines = daemon.reload()
    check(not any("warning" in line and "max-age" not in line for line in lines), f"{lines}")
    answer = ask(daemon, "db.local.clamav.test", ecs="192.0.2.200/32")
    check_equal(addresses(answer), ["192.0.2.2"], "by the new geo table")


def test_low_port(case, _):
    """A reload that adds a port under 1024 is refused with advice, and done with keep-bind-capability."""
    need_root()
    port = free_low_port()
    for keep in (False, True):
        more = "keep-bind-capability = true;" if keep else ""
        site = user_site(case, server=f'user = "{USER}"; {more}')
        daemon = case.daemon(site)
        check_threads(daemon, "CapPrm", [f"{(1 << 10) * keep:016x}"])
        check_threads(daemon, "CapBnd", [f"{(1 << 10) * keep:016x}"])
        text = open(site.path).read()
        site.write("dnsd.conf", text.replace('"127.0.0.1@0"', f'"127.0.0.1@0", "127.0.0.1@{port}"'))
        lines = daemon.reload(fails=not keep)
        if keep:
            check_rcode(ask(daemon, "www.clamav.test", server=("127.0.0.1", port)), "NOERROR")
        else:
            check(any("restart it, or set server.keep-bind-capability = true" in line for line in lines), f"{lines}")
            check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")


def process_status(pid, field):
    with open(f"/proc/{pid}/status") as file:
        return re.search(rf"^{field}:\s*(.*)$", file.read(), re.M)[1].split()


def test_restart(case, _):
    """As root, then nobody: whoever comes later was never root, and has all ports, new ones under 1024 too."""
    t91_takeover.setup(case)
    ports = [free_low_port()]
    site = user_site(case, listen=("127.0.0.1@0", f"127.0.0.1@{ports[0]}"),
                     server=f'user = "{USER}"; sandbox = "on"; restart-drain = "200ms";' + STATE)
    program = site.file("dnsd")  # where the user may come
    shutil.copy(DNSD, program)
    line = t91_takeover.Line(case, site, program=program)
    t91_takeover.need_sandbox(line)
    line.ctl("mirror", "down", "m1.de.example", "--reason", "test")
    uid = str(pwd.getpwnam(USER).pw_uid)
    bind_only = f"{1 << 10:016x}"
    for i in range(3):
        launcher = t91_takeover.launcher_of(line.pid)
        check_equal(process_status(launcher, "Uid"), [uid] * 4, "user of the launcher")
        check_equal(process_status(launcher, "Groups"), process_status(line.pid, "Groups"), "groups of the launcher")
        for field in ("CapPrm", "CapEff", "CapBnd" if i == 0 else "CapPrm"):
            check_equal(process_status(launcher, field), [bind_only], f"{field} of the launcher")
        check_equal(process_status(launcher, "NoNewPrivs"), ["1"], "no new privileges")
        check_equal(sorted(os.listdir(f"/proc/{launcher}/fd")), ["0", "1", "2", "3"], "descriptors of the launcher")
        check_equal(os.stat(f"/proc/{launcher}/mem").st_uid, 0, "owner of its memory: not dumpable")
        if i == 1:
            ports.append(free_low_port())
            t91_takeover.change(site, f'"127.0.0.1@{ports[0]}"', f'"127.0.0.1@{ports[0]}", "127.0.0.1@{ports[1]}"')
        line.restart()
        status = line.ctl("status")
        check_equal((str(status["uid"]), status["sandbox"], status["problems"]), (uid, "on", []), "status")
        check_equal(process_status(line.pid, "Uid"), [uid] * 4, "user of the new process")
        for field in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            check_equal(process_status(line.pid, field), ["0" * 16], f"{field} of the new process")
        for server in (line.addr, *[("127.0.0.1", port) for port in ports]):
            for transport in ("udp", TCP):
                check_rcode(ask(line, "www.clamav.test", server=server, transport=transport), "NOERROR")
        check("192.0.2.1" not in addresses(ask(line, "db.de.clamav.test")), "the override is forgotten")
    # Another user is for root to become: told, and nothing has changed.
    t91_takeover.change(site, f'user = "{USER}"', 'user = "daemon"')
    line.restart_fails('only root can become another user')


def test_restart_keeps_bind(case, _):
    """keep-bind-capability holds for a process that never was root too. Without a launcher it is the process that passes it on."""
    t91_takeover.setup(case)
    for sandbox in ("on", "off"):
        port = free_low_port()
        site = user_site(case, server=f'user = "{USER}"; sandbox = "{sandbox}"; keep-bind-capability = true;' + STATE)
        program = site.file("dnsd")
        shutil.copy(DNSD, program)
        line = t91_takeover.Line(case, site, program=program)
        t91_takeover.need_sandbox(line, sandbox)
        passed = (1 << 10) * (sandbox == "off")
        for _ in range(2):
            line.restart()
            for field, want in (("CapPrm", 1 << 10), ("CapEff", 1 << 10), ("CapInh", passed), ("CapAmb", passed)):
                check_equal(process_status(line.pid, field), [f"{want:016x}"], f"{field} of the new process, sandbox {sandbox}")
        t91_takeover.change(site, '"127.0.0.1@0"', f'"127.0.0.1@0", "127.0.0.1@{port}"')
        line.ctl("reload")
        check_rcode(ask(line, "www.clamav.test", server=("127.0.0.1", port)), "NOERROR")


def test_restart_logs(case, _):
    """Filters that refuse nothing are inherited all the same: they do not pile up from restart to restart."""
    t91_takeover.setup(case)
    line = t91_takeover.Line(case, t91_takeover.make_site(case, server='sandbox = "log";', drain_s=0.2))
    t91_takeover.need_sandbox(line, "log")
    for _ in range(3):
        line.restart()
        line.log.wait(rf"ready: .*pid={line.pid} ")
        with open(f"/proc/{line.pid}/status") as file:
            filters = re.search(r"^Seccomp_filters:\s*(\d+)$", file.read(), re.M)
        if not filters:
            raise Skip("this kernel does not count filters")
        check_equal(filters[1], "1", "filters of the main thread")


def check_no_start(site, *wants):
    """Neither starts nor passes the check."""
    for command in ([DNSD, "-c", site.path, "-t"], [DNSD, "-c", site.path]):
        status, text = run(command)
        check_equal(status, 1, f"exit status of {' '.join(command)}: {text}")
        for want in wants:
            check(want in text, f"{want!r} is missing in: {text}")


def test_unreadable(case, _):
    """What the user may not read or write is told at the start, although root could."""
    site = user_site(case, server=f'user = "{USER}";' + STATE)
    check_equal(run([DNSD, "-c", site.path, "-t"])[0], 0, "exit status when all is well")
    os.chmod(site.file("clamav.zone"), 0o600)
    os.chown(site.file("clamav.zone"), 0, 0)
    check_no_start(site, "clamav.zone: cannot", "Permission denied", f'the rights of user "{USER}"')
    os.chmod(site.file("clamav.zone"), 0o644)
    # The configuration itself is read with the rights of root first: that does not count.
    os.chmod(site.path, 0o600)
    os.chown(site.path, 0, 0)
    check_no_start(site, "dnsd.conf: cannot", "Permission denied", f'the rights of user "{USER}"')
    os.chmod(site.path, 0o644)
    os.chown(site.file("state"), 0, 0)
    check_no_start(site, f'user "{USER}" may not write to the state directory; say: chown -R {USER} ')


def test_read_once(case, _):
    """The configuration is read once; twice only by a root that is to become another user. What it says is told once."""
    strace = need_program("strace")
    if is_sanitized():
        raise Skip("a search for leaks does not work under strace")
    site = user_site(case)
    trace = os.path.join(case.folder, "opened")
    for user, reads_n in (("", 1), (f'user = "{USER}";', 2)):
        site.write("dnsd.conf", f'server: {{ listen = [ "127.0.0.1@0" ]; {user} }};\n')
        status, text = run([strace, "-q", "-e", "trace=openat,open", "-o", trace, DNSD, "-c", site.path, "-t"])
        check_equal(status, 0, text)
        check_equal(text.count("no zones"), 1, f"warnings with {user!r}: {text}")
        with open(trace) as file:
            check_equal(file.read().count(f'"{site.path}"'), reads_n, f"reads with {user!r}")


def test_wrong_user(case, _):
    """Users that can't be."""
    site = case.site().pool_site(MIRRORS, server='user = "no-such-user";')
    check_no_start(site, 'server.user = "no-such-user": there is no such user')
    site = case.site().pool_site(MIRRORS, server='user = "root; rm";')
    check_no_start(site, "is no name of a user or group")
    site = case.site().pool_site(MIRRORS, server='sandbox = "yes";')
    check_no_start(site, 'is not one of "on", "log", "off"')


def test_changed(case, _):
    """What only a start heeds is told at the reload."""
    site = case.site().pool_site(MIRRORS)
    daemon = case.daemon(site)
    text = open(site.path).read()
    site.write("dnsd.conf", text.replace("workers = 0;", 'workers = 0; sandbox = "off";'))
    lines = daemon.reload()
    check(any("server.sandbox has changed: it takes effect at the next start" in line for line in lines), f"{lines}")
    check_threads(daemon, "Seccomp", ["2"])
