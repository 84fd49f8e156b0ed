"""PROXY headers before the TLS handshake, as haproxy sends them; and clients that are named by IPv4 addresses in IPv6 form."""
import socket
import time

from harness import DEADLINE_S, TCP, Tcp, check, check_equal, parse_answer, wait_until
from t46_proxy import FRONT, LISTED, MIRRORS, SIGNATURE, WHOAMI, client_of, header, query, tlv, with_checksum
from tls_support import Tls, client_context, make_certificate, tls_addr, tls_keys

HEAD = header("127.2.3.4", kind=TCP, tlvs=tlv(0xe0, b"abc"))
COUNTERS = ("proxy_ok", "proxy_missing", "proxy_bad", "tls_handshakes", "tls_handshake_failures", "tcp_idle_closed")


def start(case, more="", **keywords):
    site = case.site()
    make_certificate(site)
    site.pool_site(MIRRORS, server=f'{LISTED} {tls_keys()} tcp-idle = "1m"; {more}', **keywords)
    text = open(site.path).read()
    site.write("dnsd.conf", text.replace('file = "clamav.zone";', f'file = "clamav.zone"; {WHOAMI}'))
    daemon = case.daemon(site)
    daemon.tls_addr = tls_addr(daemon)
    return daemon


def setup(case):
    return start(case, workers=2)


def check_moved(daemon, before, **want):
    """These counters, and no other of those that matter here."""
    def moved():
        after = daemon.counters()
        return {name: after[name] - before[name] for name in COUNTERS if after[name] != before[name]}
    wait_until(lambda: moved() == want, f"counters moved by {want}, not {moved()}")


def finish(tls, client=("127.2.3.4", "DE")):
    """The handshake, and two questions."""
    tls.handshake()
    for i in (1, 2):
        tls.send(query(i=i))
        check_equal(client_of(parse_answer(query(i=i), tls.receive())), client, "client")


def test_forms(case, daemon):
    """Alone, with the handshake behind it, and for the front end itself."""
    before = daemon.counters()
    with Tls(daemon.tls_addr, source=FRONT, handshake=False) as tls:
        tls.sock.sendall(HEAD)
        finish(tls)
    with Tls(daemon.tls_addr, source=FRONT, handshake=False) as tls:
        tls.sock.sendall(HEAD + tls.begin())
        finish(tls)
    with Tls(daemon.tls_addr, source=FRONT, handshake=False) as tls:
        tls.sock.sendall(header(None) + tls.begin())
        finish(tls, (FRONT, "unknown"))
    check_moved(daemon, before, proxy_ok=3, tls_handshakes=3)


def test_split(case, daemon):
    """Cut at each place up to the first bytes of the handshake, and byte by byte."""
    before = daemon.counters()
    context = client_context()
    cuts = range(1, len(HEAD) + 3)
    for cut in cuts:
        with Tls(daemon.tls_addr, context, source=FRONT, handshake=False) as tls:
            stream = HEAD + tls.begin()
            tls.sock.sendall(stream[:cut])
            # The daemon has to see the piece on its own; no event tells, and when it does not, the test is only weaker.
            time.sleep(0.002)
            tls.sock.sendall(stream[cut:])
            finish(tls)
    with Tls(daemon.tls_addr, context, source=FRONT, handshake=False) as tls:
        for byte in HEAD + tls.begin():
            tls.sock.sendall(bytes([byte]))
        finish(tls)
    check_moved(daemon, before, proxy_ok=len(cuts) + 1, tls_handshakes=len(cuts) + 1)


def test_many(case, daemon):
    """More at once than handshakes are done in a round: those that wait in line have given up their header by then."""
    context = client_context()
    before = daemon.counters()
    clients = [Tls(daemon.tls_addr, context, source=FRONT, handshake=False) for _ in range(40)]
    try:
        for i, tls in enumerate(clients):
            tls.sock.sendall(header(f"127.2.0.{i + 1}", kind=TCP) + tls.begin())
        for i, tls in enumerate(clients):
            finish(tls, (f"127.2.0.{i + 1}", "DE"))
    finally:
        for tls in clients:
            tls.sock.close()
    check_moved(daemon, before, proxy_ok=40, tls_handshakes=40)


def test_once(case, daemon):
    """A second one inside is taken for what it is: a message, malformed, of 3,338 bytes. The client stays."""
    with Tls(daemon.tls_addr, source=FRONT, handshake=False) as tls:
        tls.sock.sendall(HEAD)
        tls.handshake()
        second = header("127.3.0.9", kind=TCP)
        tls.tls.write(second + bytes(2 + 3338 - len(second)))
        tls.flush()
        answer = tls.receive()
        check_equal((answer[:2], answer[3] & 15), (SIGNATURE[2:4], 1), "id and rcode")
        finish(tls)


def test_refused(case, daemon):
    """Damaged, something else, cut off by the end: closed at once, before a handshake is begun."""
    before = daemon.counters()
    for beginning in (header("127.2.3.4", command=2), with_checksum("127.2.3.4", wrong=1), b"\r\n\r\nnone", HEAD[:20]):
        with Tcp(daemon.tls_addr, FRONT) as tcp:
            tcp.send_raw(beginning)
            if beginning == HEAD[:20]:
                tcp.sock.shutdown(socket.SHUT_WR)
            check(tcp.is_closed(DEADLINE_S), f"not closed after {beginning.hex()}")
    check_moved(daemon, before, proxy_bad=3, proxy_missing=1, tls_handshake_failures=4)
    before = daemon.counters()
    with Tcp(daemon.tls_addr, FRONT) as tcp:
        tcp.send_raw(HEAD[:20])
        check(tcp.is_closed(DEADLINE_S), "a header that is never finished")
    check_moved(daemon, before, tls_handshake_failures=1, tcp_idle_closed=1)
    wait_until(lambda: daemon.counters()["tcp_open"] == 0, "all are closed")


def test_cut_inside(case, daemon):
    """A header inside TLS that the client's goodbye cuts off, or its end without one: closed, and counted."""
    for goodbye in (True, False):
        before = daemon.counters()
        with Tls(daemon.tls_addr, source=FRONT) as tls:
            tls.tls.write(HEAD[:20])
            tls.flush()
            if goodbye:
                tls.say_goodbye()
            else:
                tls.sock.shutdown(socket.SHUT_WR)
                check_equal(tls.ends(), "goodbye", "the end")
        check_moved(daemon, before, tls_handshakes=1, proxy_bad=1)


def test_per_client(case, _):
    """The limit of connections by client holds for whom the header names, before any handshake is made for it."""
    daemon = start(case, "tcp-clients-per-prefix = 2;", workers=1)
    before = daemon.counters()
    for client in ("127.2.0.1", "127.2.0.1", "127.3.0.1"):
        tls = case.stack.enter_context(Tls(daemon.tls_addr, source=FRONT, handshake=False))
        tls.sock.sendall(header(client, kind=TCP))
        tls.handshake()
        tls.send(query())
        check_equal(client_of(parse_answer(query(), tls.receive()))[0], client, "client")
    with Tcp(daemon.tls_addr, FRONT) as tcp:
        tcp.send_raw(header("127.2.0.1", kind=TCP))
        check(tcp.is_closed(DEADLINE_S), "a third connection of one client")
    daemon.check_moved(before, {"tcp_accepted": 4, "tcp_open": 3, "tcp_refused_prefix": 1, "proxy_ok": 4, "queries_tls": 3,
                                "noerror": 3, "tls_handshakes": 3, "tls_handshake_failures": 1}, "three connections and one too many")


def test_mapped_per_client(case, _):
    """In IPv6 form, as a front end that listens for both families may name it, a client is the same one; others are others."""
    daemon = start(case, "tcp-clients-per-prefix = 2;", workers=1)

    def connect(client):
        tcp = case.stack.enter_context(Tcp(daemon.addr, FRONT))
        tcp.send_raw(header(client, kind=TCP) + Tcp.frame(query()))
        return tcp

    for client in ("127.2.0.1", "::ffff:127.2.0.1", "::ffff:127.2.0.2", "::ffff:127.2.0.3", "::ffff:127.2.0.4"):
        check_equal(client_of(parse_answer(query(), connect(client).receive())), (client.rpartition(":")[2], "DE"), "client")
    for client in ("127.2.0.1", "::ffff:127.2.0.1"):
        check(connect(client).is_closed(DEADLINE_S), f"a third connection, of {client}")
    check_equal(daemon.counters()["tcp_refused_prefix"], 2, "connections refused")
