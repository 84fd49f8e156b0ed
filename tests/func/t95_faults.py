"""A machine in need: system calls that fail, half a read, no descriptors left. dnsd goes on, and does not spin."""
import contextlib
import json
import os
import resource
import select
import socket
import struct
import time

from harness import (CONTROL, DEADLINE_S, STATE, Control, TCP, TOP, UDP, Tcp, addresses, ask, check, check_equal, check_rcode, cpu_s, cvd_file,
                     make_query, open_socket, parse_answer, run, text_of, wait_until)
from tls_support import make_certificate, tls_keys

MIRRORS = [("m.de.example", "DE", [f"198.51.100.{i}" for i in range(1, 100)])]
QUERIES_N = 200
DEAD_CALLS_N = 100  # of faults.c
# What a daemon that has nothing to do may use of a processor; one that spins uses all of it.
IDLE_SHARE = 0.2


def setup(case):
    """The library that makes calls fail."""
    path = os.path.join(case.folder, "faults.so")
    status, text = run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", path, os.path.join(TOP, "tests", "func", "faults.c"),
                        "-ldl"])
    check(status == 0, f"faults.c cannot be compiled: {text}")
    return path


def start(case, library, faults, **conf):
    """A daemon under this library; it is loaded before a sanitizer's own."""
    return start_site(case, library, faults, case.site().pool_site(MIRRORS, **conf))


def start_site(case, library, faults, site):
    return case.daemon(site, more_env=faulty(library, faults))


def faulty(library, faults):
    """The environment of a daemon under this library."""
    return {"DNSD_FAULTS": faults, "LD_PRELOAD": library,
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


def check_idle(daemon, what):
    """It waits: half a second of nothing costs next to nothing."""
    before, start_s = cpu_s(daemon), time.monotonic()
    time.sleep(0.5)
    share = (cpu_s(daemon) - before) / (time.monotonic() - start_s)
    check(share < IDLE_SHARE, f"{what}: it uses {share:.0%} of a processor with nothing to do")


def query(i, name="www.clamav.test", rdtype="A"):
    message = make_query(name, rdtype)
    message.id = i
    return message.to_wire()


def flood(daemon, first, n, most=32):
    """Questions in bursts of most; the ids that were answered."""
    answered = set()
    lost_before = daemon.counters()["udp_send_errors"]
    with open_socket(daemon.addr, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        for at in range(first, first + n, most):
            sent = range(at, min(at + most, first + n))
            for i in sent:
                sock.send(query(i))
            end = time.monotonic() + DEADLINE_S
            # Those that are lost are known by the counter; the others come.
            while not answered.issuperset(sent) and time.monotonic() < end:
                if not select.select([sock], [], [], 0.05)[0]:
                    if len(answered) + daemon.counters()["udp_send_errors"] - lost_before == sent[-1] + 1 - first:
                        break
                    continue
                try:
                    while True:
                        wire = sock.recv(4096)
                        i = struct.unpack(">H", wire[:2])[0]
                        parse_answer(query(i), wire)
                        answered.add(i)
                except BlockingIOError:
                    pass
    return answered


def test_receive(case, library):
    """Two of three calls that would receive fail: every question is answered all the same."""
    daemon = start(case, library, "recv", workers=1)
    answered = flood(daemon, 0, QUERIES_N)
    check_equal(len(answered), QUERIES_N, "questions answered")
    counters = daemon.counters()
    check(0 < counters["udp_receive_no_memory"] == counters["udp_receive_errors"], "the failures are counted")
    check_equal(counters["udp_rests"], 0, "rests: each failure is followed by a success")
    check_idle(daemon, "after receiving has failed")


def test_send(case, library):
    """Sending fails now and then: what is lost is counted, nothing else is lost, and a question asked again is answered."""
    daemon = start(case, library, "send", workers=1)
    answered = flood(daemon, 0, QUERIES_N)
    counters = daemon.counters()
    check_equal(counters["queries_udp"], QUERIES_N, "questions received")
    check_equal(QUERIES_N - len(answered), counters["udp_send_errors"], "answers lost against those counted")
    check(0 < counters["udp_send_errors"] < QUERIES_N / 2, f"{counters['udp_send_errors']} answers lost")
    wait_until(lambda: flood(daemon, counters["queries_udp"], 1), "an answer to one who asks again", every_s=0)
    check_idle(daemon, "after sending has failed")


def test_both(case, library):
    """A storm of both, over all workers."""
    daemon = start(case, library, "recv,send", workers=2)
    answered = set()
    for round_number in range(3):
        answered |= flood(daemon, QUERIES_N * round_number, QUERIES_N)
    counters = daemon.counters()
    check_equal(3 * QUERIES_N - len(answered), counters["udp_send_errors"], "answers lost against those counted")
    check_idle(daemon, "after a storm")


def test_receive_dead(case, library):
    """Nothing can be received for four seconds: tried each 50 ms and no more; TCP goes on, and then what has waited is answered."""
    daemon = start(case, library, "dead", workers=1)
    with open_socket(daemon.addr, socket.SOCK_DGRAM) as sock, Tcp(daemon.addr) as tcp:
        wires = [query(i) for i in range(20)]
        for wire in wires:
            sock.send(wire)
        check_idle(daemon, "while nothing can be received")
        counters = daemon.counters()
        check(15 < counters["udp_receive_errors"] < DEAD_CALLS_N, f"failures so far: {counters['udp_receive_errors']}")
        check(0 < counters["udp_rests"] == counters["udp_receive_errors"] - 15, f"{counters['udp_rests']} rests")
        tcp.send(query(7))
        check_rcode(parse_answer(query(7), tcp.receive()), "NOERROR")
        sock.settimeout(DEADLINE_S)
        for wire in wires:
            check_rcode(parse_answer(wire, sock.recv(4096)), "NOERROR")
        counters = daemon.counters()
        check_equal(counters["udp_receive_errors"], DEAD_CALLS_N, "failures")
        check_equal((counters["udp_receive_no_memory"], counters["udp_socket_errors"]), (0, 0), "of other kinds")
    check_equal(len(flood(daemon, 20, QUERIES_N)), QUERIES_N, "questions answered afterwards")


def test_short(case, library):
    """TCP in bits and pieces, both ways: framing holds, answers come whole."""
    daemon = start(case, library, "short", workers=1)
    with Tcp(daemon.addr) as tcp:
        requests = [query(i, "db.de.big.clamav.test" if i % 5 == 0 else "www.clamav.test") for i in range(30)]
        tcp.send(*requests)
        for wire in requests:
            check_rcode(parse_answer(wire, tcp.receive()), "NOERROR")
        tcp.sock.shutdown(socket.SHUT_WR)
        check(tcp.is_closed(DEADLINE_S), "closed when all is said")
    check_idle(daemon, "after short reads and writes")
    wait_until(lambda: daemon.counters()["tcp_open"] == 0, "no connection is left")


def open_files(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def sockets_n(daemon):
    folder = f"/proc/{daemon.pid}/fd"
    links = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"{folder}/{name}"))
    return sum(link.startswith("socket:") for link in links)


def no_descriptors(case, workers):
    """More TCP clients than descriptors: UDP answers, nothing spins, and afterwards TCP is as before."""
    daemon = case.daemon(case.site().pool_site(MIRRORS, workers=workers, server='tcp-idle = "60s";'))
    limit = open_files(daemon) + 16
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (limit, limit))
    clients = []
    try:
        for _ in range(64):
            sock = open_socket(daemon.addr, socket.SOCK_STREAM)
            clients.append(sock)
            sock.sendall(Tcp.frame(query(1)))
        wait_until(lambda: open_files(daemon) >= limit - 2, "all descriptors are in use")
        for _ in range(50):
            check_rcode(ask(daemon, "www.clamav.test", transport=UDP), "NOERROR")
        check_idle(daemon, "without descriptors")
        for _ in range(50):
            check_rcode(ask(daemon, "www.clamav.test", transport=UDP), "NOERROR")
    finally:
        for sock in clients:
            sock.close()
    wait_until(lambda: daemon.counters()["tcp_open"] == 0, "the connections are closed")
    for _ in range(10):
        with Tcp(daemon.addr) as tcp:
            tcp.send(query(7))
            check_rcode(parse_answer(query(7), tcp.receive()), "NOERROR")
    check_idle(daemon, "when descriptors are there again")


def test_no_descriptors(case, _):
    """One worker."""
    no_descriptors(case, 1)


def test_no_descriptors_shared(case, _):
    """Two workers take them from each other."""
    no_descriptors(case, 2)


def test_no_descriptors_control(case, _):
    """TCP clients have taken all: who comes to the control socket waits, is not sent away, and is answered in the end."""
    daemon = case.daemon(case.site().pool_site(MIRRORS, server=CONTROL + 'tcp-idle = "60s";', workers=1))
    before = sockets_n(daemon)
    daemon.ctl("status")
    wait_until(lambda: sockets_n(daemon) == before, "the connection of the status is closed")  # else it would make room for another below
    limit = open_files(daemon) + 8
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Tcp(daemon.addr)) for _ in range(16)]
        wait_until(lambda: open_files(daemon) >= limit, "all descriptors are in use")
        controls = [stack.enter_context(Control(daemon.control)) for _ in range(5)]
        for control in controls:
            control.sock.sendall(b'{"command": "status"}\n')
        check_idle(daemon, "without descriptors")
        check_equal(select.select([control.sock for control in controls], [], [], 0)[0], [], "sent away or answered")
        for tcp in clients:
            tcp.sock.close()
        for control in controls:
            check(json.loads(control.lines.readline())["ok"], "the answer")
    check_idle(daemon, "when descriptors are there again")


def test_unwatched(case, library):
    """The loop cannot watch the sockets of a listener that a reload adds: they are tried until it can, over both transports."""
    site = case.site().pool_site(MIRRORS, workers=1)
    daemon = start_site(case, library, "watch", site)
    site.pool_site(MIRRORS, workers=1, listen=("127.0.0.1@0", "127.0.0.9@0"))
    mark = daemon.log.mark()
    daemon.reload()
    added = daemon.listening(mark)
    check_equal([host for host, _ in added], ["127.0.0.9"], "what was added")
    wait_until(lambda: daemon.counters()["listen_failures"] > 0, "the listener cannot be watched")
    for transport in (UDP, TCP):
        check_rcode(ask(daemon, "www.clamav.test", server=added[0], transport=transport), "NOERROR")
    site.pool_site(MIRRORS, workers=1)
    daemon.reload()
    check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")


def test_number_used_again(case, library):
    """The number of every socket that is closed becomes a file's at once: epoll is never asked about a file."""
    site = case.site()
    make_certificate(site)
    more = CONTROL + tls_keys()
    site.pool_site(MIRRORS, workers=2, listen=("127.0.0.1@0", "127.0.0.2@0", "127.0.0.3@0"), server=more + 'sandbox = "off";')
    metrics = 'metrics: { listen = [ "127.0.0.1@0" ]; };\n'
    site.write("dnsd.conf", open(site.path).read() + metrics)
    daemon = start_site(case, library, "reuse", site)
    text = open(site.path).read()
    with Tcp(daemon.addr) as tcp:
        tcp.send(query(1))
        parse_answer(query(1), tcp.receive())
    daemon.ctl("status")
    for replaced in ((', "127.0.0.2@0", "127.0.0.3@0"', ""), (tls_keys(), ""), ("ctl.sock", "ctl2.sock"), (metrics, "")):
        site.write("dnsd.conf", text.replace(*replaced))
        daemon.reload()
        check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")
        check_rcode(ask(daemon, "www.clamav.test", transport=TCP), "NOERROR")
        site.write("dnsd.conf", text)
        daemon.reload()
    daemon.stop()
    met = [line for line in daemon.log.lines if "faults: epoll_ctl" in line]
    check_equal(met, [], "epoll asked about what is a file now")
    files_n = sum("is a file now" in line for line in daemon.log.lines)
    check(files_n >= 20, f"{files_n} sockets were closed: the test shows nothing")


def test_no_inotify(case, library):
    """No inotify instance is left for this user: it serves, says which setting to raise, and follows its files when there is one."""
    site = case.site().pool_site(MIRRORS, pool={"feed": '"feed.json"', "max-removal": 100}, geo=" ")
    text = '{ "format": 1, "pool": "clamav", "serial": %d, "excluded": [] }'
    site.write("feed.json", text % 1)
    daemon = start_site(case, library, "inotify", site)
    daemon.log.wait("cannot watch this directory for changes: sysctl fs.inotify.max_user_instances")
    check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")
    daemon.log.wait("this directory is watched again")
    site.write("feed.json", text % 2)
    daemon.log.wait("feed serial 2 in force")


def test_no_memory_for_a_moment(case, library):
    """No memory just when the time of a feed that was held is over: it is looked at again, though nothing else ever happens here."""
    site = case.site().pool_site(MIRRORS, pool={"feed": '"feed.json"', "feed-hold": '"4s"'}, geo=" ")
    text = '{ "format": 1, "pool": "clamav", "serial": %d, "excluded": [ %s ] }'
    site.write("feed.json", text % (1, ""))
    daemon = start_site(case, library, "poor", site)
    site.write("feed.json", text % (2, '{ "mirror": "m.de.example", "reason": "old" }'))
    daemon.log.wait("serial 2 takes out 1 of 1 mirrors at once")
    site.write("feed.json.poor", "")
    daemon.log.wait("version records and pools not renewed: Cannot allocate memory")
    os.unlink(site.file("feed.json.poor"))
    daemon.log.wait("serial 2 was held back and still says the same: in force now")


def test_late_version(case, library):
    """A database that comes when the folder has been read, and is not watched yet, is announced; none comes after it."""
    site = case.site()
    for name, version in (("main", 62), ("daily", 27500), ("bytecode", 335)):
        site.write(f"cvd/{name}.cvd", cvd_file(version))
    site.write("cvd/daily.cvd.late", cvd_file(27501))
    site.pool_site(MIRRORS, versions='{ name = "current.cvd"; directory = "cvd"; software = "1.4.3"; renew = "1h"; }')
    daemon = start_site(case, library, "late", site)
    wait_until(lambda: text_of(ask(daemon, "current.cvd.clamav.test", "TXT")).split(":")[2] == "27501", "the late version in the record")
    check(not os.path.exists(site.file("cvd/daily.cvd.late")), "the late file has its name")


def test_files_in_bits(case, library):
    """Files come and go in pieces of 1 to 100 bytes, and calls are interrupted: everything is read and kept whole, over a restart too."""
    site = case.site()
    make_certificate(site)
    for name, version in (("main", 62), ("daily", 27500), ("bytecode", 335)):
        site.write(f"cvd/{name}.cvd", cvd_file(version))
    site.folder_for("state")
    site.write("secrets", "e5e973e5a6b2a43f48e7dc849e37bfcf\n445536bcd2513298075a5d379663c962\n")
    os.chmod(site.file("secrets"), 0o600)
    mirrors = [(f"m{i}.de.example", "DE", [f"198.51.100.{i}"]) for i in range(1, 9)]

    def feed(serial, *out):
        site.write("feed.json", json.dumps({"format": 1, "pool": "clamav", "serial": serial, "monitor": "test",
                                            "excluded": [{"mirror": f"m{i}.de.example", "reason": "unreachable"} for i in out]}))

    def answer():
        return sorted(int(address.rsplit(".", 1)[1]) for address in addresses(ask(daemon, "db.de.clamav.test")))

    def daily():
        return text_of(ask(daemon, "current.cvd.clamav.test", "TXT")).split(":")[2]
    site.pool_site(mirrors, pool={"feed": '"feed.json"'}, server=STATE + tls_keys() + 'cookie-secret-file = "secrets"; sandbox = "off";',
                   versions='{ name = "current.cvd"; directory = "cvd"; software = "1.4.3"; }')
    feed(1, 1)
    daemon = start_site(case, library, "bits", site)
    check_equal((answer(), daily()), ([2, 3, 4, 5, 6, 7, 8], "27500"), "mirrors and version at the start")
    feed(2, 1, 2)
    daemon.log.wait("feed serial 2 in force")
    site.write("cvd/daily.cvd", cvd_file(27501))
    wait_until(lambda: daily() == "27501", "the new version in the record")
    reason = "r" * 150
    daemon.ctl("mirror", "down", "m8.de.example", "--reason", reason)
    daemon.reload()
    check_equal((answer(), daily()), ([3, 4, 5, 6, 7], "27501"), "mirrors and version after a reload")
    for told in (("read", "written"), ("read",)):
        daemon.stop()
        with open(site.file("state/overrides.json")) as file:
            check(reason in json.dumps(json.load(file)), "the override is kept whole")
        with open(site.file("state/journal.jsonl")) as file:
            types = {json.loads(line)["type"] for line in file}
        check(types >= {"base", "feed", "override"}, f"records in the journal: {types}")
        for line in daemon.log.lines:
            check(not any(word in line for word in ("error", "nterrupted", "damaged", "shorter")), f"it complains: {line}")
        for what in told:
            check(f"faults: files are {what} in bits" in daemon.log.lines, f"the test shows nothing: no file was {what} in bits")
        daemon = start_site(case, library, "bits", site)
        check_equal((answer(), daily()), ([3, 4, 5, 6, 7], "27501"), "mirrors and version after a restart")
