"""The PROXY header (version 2): the client is whom a listed front end names; from everybody else no header is read.

Front ends are 127.99.0.0/16 and ::1. Handmade packets first, then Debian's dnsdist before a running daemon.
"""
import ipaddress
import os
import socket
import struct
import subprocess
import threading
import time

import dns.message

from harness import (DEADLINE_S, TCP, UDP, Output, Tcp, addresses, ask, check, check_equal, check_rcode, exchange_udp,
                     free_port, is_tc, make_query, need_ipv6, need_program, parse_answer, rcode_of, run,
                     wait_until)
from tls_support import Tls, make_certificate, tls_addr, tls_keys

MIRRORS = [("m.de.example", "DE", ["192.0.2.49"]), ("m.fr.example", "FR", ["192.0.2.33"]),
           ("m.us.example", "US", ["192.0.2.1"])]
FRONT = "127.99.0.1"
LISTED = 'proxy-allow = [ "127.99.0.0/16", "::1" ];'
WHOAMI = 'whoami = { name = "whoami"; allow = [ "0.0.0.0/0", "::/0" ]; };'
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
DESTINATION = {4: "198.51.100.1", 6: "2001:db8::1"}


def make_site(case, server=LISTED, whoami=WHOAMI, idle="1m", **keywords):
    keywords = {"workers": 2} | keywords
    site = case.site().pool_site(MIRRORS, server=f'{server} tcp-idle = "{idle}";', **keywords)
    text = open(site.path).read()
    site.write("dnsd.conf", text.replace('file = "clamav.zone";', f'file = "clamav.zone"; {whoami}'))
    return site


def setup(case):
    return case.daemon(make_site(case))


def tlv(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


def header(client, port=4660, kind=UDP, tlvs=b"", command=1):
    """A whole header. client None: the LOCAL command."""
    if client is None:
        return SIGNATURE + struct.pack(">BBH", 0x20, 0, len(tlvs)) + tlvs
    client = ipaddress.ip_address(client)
    family = (0x10 if client.version == 4 else 0x20) | (2 if kind == UDP else 1)
    block = client.packed + ipaddress.ip_address(DESTINATION[client.version]).packed + struct.pack(">HH", port, 53) + tlvs
    return SIGNATURE + struct.pack(">BBH", 0x20 | command, family, len(block)) + block


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def with_checksum(client, wrong=0):
    zero = header(client, tlvs=tlv(3, bytes(4)) + tlv(0xe0, b"more"))
    at = zero.index(tlv(3, bytes(4))) + 3
    return zero[:at] + struct.pack(">I", crc32c(zero) ^ wrong) + zero[at + 4:]


def query(name="whoami.clamav.test", rdtype="TXT", i=7):
    message = make_query(name, rdtype)
    message.id = i
    return message.to_wire()


def strings(message):
    check_rcode(message, "NOERROR")
    return dict(s.decode().split("=", 1) for rrset in message.answer for rdata in rrset for s in rdata.strings)


def client_of(message):
    """Who the daemon thinks has asked, and where."""
    said = strings(message)
    return said["address"], said.get("country")


def behind(daemon, head, source=FRONT, server=None, wire=None):
    """The answer over UDP to a query behind this header."""
    wire = wire or query()
    answer = exchange_udp(server or daemon.addr, head + wire, source)
    check(answer is not None, "no answer")
    return parse_answer(wire, answer)


def check_silent(daemon, packet, source=FRONT):
    """No answer: a packet behind it that is answered says when to stop waiting. Both go to one worker, by one socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(DEADLINE_S)
        sock.bind((source, 0))
        sock.connect(daemon.addr)
        sock.send(packet)
        sock.send(header("127.2.0.1") + query(i=999))
        first = sock.recv(65535)
        check_equal(first[:2], struct.pack(">H", 999), "id of the first answer")


# --- handmade, over UDP ---

def test_udp(case, daemon):
    """The client is whom the header names, with its country; the front end gets the answer, without a header."""
    before = daemon.counters()
    check_equal(client_of(behind(daemon, header("127.2.3.4"))), ("127.2.3.4", "DE"), "client")
    check_equal(client_of(behind(daemon, header("127.3.0.9", kind=TCP))), ("127.3.0.9", "FR"), "client, header of TCP")
    check_equal(client_of(behind(daemon, header("2001:db8:1::5"))), ("2001:db8:1::5", "US"), "client over IPv6")
    check_equal(client_of(behind(daemon, header("::ffff:127.2.0.1"))), ("127.2.0.1", "DE"), "mapped")
    daemon.check_moved(before, {"queries_udp": 4, "noerror": 4, "proxy_ok": 4}, "four questions behind headers")


def test_udp_country(case, daemon):
    """The nearest pool is the client's."""
    wire = query("db.local.clamav.test", "A")
    for client, mirror in (("127.2.3.4", "192.0.2.49"), ("127.3.0.9", "192.0.2.33"), ("127.1.0.1", "192.0.2.1")):
        check_equal(addresses(behind(daemon, header(client), wire=wire)), [mirror], f"mirrors for {client}")


def test_udp_local(case, daemon):
    """LOCAL, UNSPEC and UNIX are the front end's own: its health checks."""
    own = (FRONT, "unknown")
    unix = SIGNATURE + struct.pack(">BBH", 0x21, 0x31, 216) + bytes(216)
    for head in (header(None), header(None, tlvs=b"no TLV at all"), SIGNATURE + b"\x21\x00\x00\x00", unix):
        check_equal(client_of(behind(daemon, head)), own, f"client behind {head[:16].hex()}")


def test_udp_tlvs(case, daemon):
    """TLVs are stepped over; a checksum must be right."""
    head = header("127.2.3.4", tlvs=tlv(2, b"ns1.example.net") + tlv(4, b"") + tlv(0xe0, b"x" * 100))
    for good in (head, with_checksum("127.2.3.4"), header("127.2.3.4", tlvs=tlv(4, bytes(993)))):
        check_equal(client_of(behind(daemon, good)), ("127.2.3.4", "DE"), "client")
    before = daemon.counters()
    bad = [with_checksum("127.2.3.4", wrong=1), header("127.2.3.4", tlvs=b"\x04"), header("127.2.3.4", tlvs=b"\x04\x00\x02a"),
           header("127.2.3.4", tlvs=tlv(4, bytes(994)))]
    for head in bad:
        check_silent(daemon, head + query())
    daemon.check_moved(before, {"queries_udp": 4, "noerror": 4, "proxy_ok": 4, "proxy_bad": 4}, "bad TLVs")


def test_udp_missing(case, daemon):
    """From a front end nothing counts without a header: it would be taken for the front end's."""
    before = daemon.counters()
    check_silent(daemon, query())
    check_silent(daemon, b"PROXY UDP4 127.2.3.4 127.0.0.1 4660 53\r\n" + query())
    daemon.check_moved(before, {"queries_udp": 2, "noerror": 2, "proxy_ok": 2, "proxy_missing": 2}, "no header")


def test_udp_bad(case, daemon):
    """Cut at every byte, of other versions, commands, families."""
    head = header("127.2.3.4")
    bad = [head[:n] for n in range(len(head))]
    bad += [SIGNATURE + bytes([version_command, family]) + head[14:] + query()
            for version_command, family in ((0x11, 0x12), (0x31, 0x12), (0x22, 0x12), (0x21, 0x42), (0x21, 0x13), (0x21, 0x22))]
    before = daemon.counters()
    for packet in bad:
        check_silent(daemon, packet)
    n = len(bad)
    daemon.check_moved(before, {"queries_udp": n, "noerror": n, "proxy_ok": n, "proxy_bad": n}, "bad headers")


def test_udp_no_message(case, daemon):
    """A header with nothing behind it, or a header once more: no DNS."""
    before = daemon.counters()
    check_silent(daemon, header("127.2.3.4"))
    daemon.check_moved(before, {"queries_udp": 2, "noerror": 1, "proxy_ok": 2, "dropped_short": 1}, "no message")
    answer = exchange_udp(daemon.addr, header("127.2.3.4") + header("127.3.0.9") + query(), FRONT)
    check_equal((answer[:2], answer[3] & 15), (b"\r\n", 4), "a header as a message: id and RCODE, NOTIMP")


def test_udp_stranger(case, daemon):
    """From others a header is no header: its bytes make a DNS message of an opcode that nobody has."""
    before = daemon.counters()
    answer = exchange_udp(daemon.addr, header("127.2.3.4") + query(), "127.3.0.1")
    check_equal((len(answer), answer[:2], answer[3] & 15), (12, b"\r\n", 4), "length, id and RCODE of the answer, NOTIMP")
    daemon.check_moved(before, {"queries_udp": 1, "notimp": 1}, "a stranger's header")
    check_equal(client_of(ask(daemon, "whoami.clamav.test", "TXT", source="127.3.0.1")), ("127.3.0.1", "FR"), "without one")


def test_udp_allow(case, _):
    """Who may ask whoami goes by the client, not by the front end that passes it on."""
    daemon = case.daemon(make_site(case, whoami='whoami = { name = "whoami"; allow = [ "127.99.0.0/16", "127.2.0.0/16" ]; };'))
    check_equal(client_of(behind(daemon, header("127.2.3.4"))), ("127.2.3.4", "DE"), "who may")
    check_rcode(behind(daemon, header("127.3.0.9")), "REFUSED", aa=False)


def test_udp_chaos(case, _):
    """chaos-allow goes by the client too."""
    daemon = case.daemon(make_site(case, server=LISTED + ' id = "node-1"; chaos-allow = [ "127.99.0.0/16", "127.2.0.0/16" ];'))
    message = dns.message.make_query("id.server.", "TXT", "CH", use_edns=False, flags=0)
    for client, rcode in (("127.2.3.4", "NOERROR"), ("127.3.0.9", "REFUSED"), (None, "NOERROR")):
        check_equal(rcode_of(behind(daemon, header(client), wire=message.to_wire())), rcode, f"id.server for {client}")


def test_udp_rate(case, _):
    """Rate limits count clients, not the front end; who is exempt goes by the client too."""
    limit = 'rate-limit = { enabled = true; positive = 1; window = "1s"; slip = 1; exempt = [ "127.99.0.0/16", "127.5.0.0/16" ]; };'
    daemon = case.daemon(make_site(case, server=LISTED + limit, workers=1))
    for _ in range(50):
        truncated = is_tc(behind(daemon, header("127.2.3.4")))
    check(truncated, "the 50th answer for one client is not limited")
    for client in ("127.3.0.9", "127.2.4.4", "2001:db8:1::5"):
        check(not is_tc(behind(daemon, header(client))), f"{client} pays for another client")
    for _ in range(50):
        check(not is_tc(behind(daemon, header("127.5.0.1"))), "an exempt client is limited")
        check(not is_tc(behind(daemon, header(None))), "the front end itself is exempt too, and limited")


def burst(case, daemon, n, listed=True):
    """Clients behind two front ends (if they are), direct ones and bad packets, all at once: each is answered as itself."""
    senders = {}
    for source in (FRONT, "127.99.7.7", "127.2.0.1", "127.3.0.1"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        case.stack.callback(sock.close)
        sock.settimeout(DEADLINE_S)
        sock.bind((source, 0))
        sock.connect(daemon.addr)
        senders[source] = sock
    for start in range(0, n, 50):  # so that no socket's buffer runs over
        want = {source: {} for source in senders}
        for i in range(start, start + 50):
            for source, sock in senders.items():
                client = source
                if listed and source.startswith("127.99."):
                    client = f"127.{1 + i % 3}.{i // 256}.{i % 256}"
                    sock.send(header(client, tlvs=tlv(4, bytes(i % 7))) + query(i=i))
                    sock.send(query(i=60000))  # without a header
                else:
                    sock.send(query(i=i))
                want[source][i] = client
        for source, sock in senders.items():
            for _ in range(50):
                wire = sock.recv(65535)
                i = struct.unpack(">H", wire[:2])[0]
                client = want[source].pop(i, None)
                check(client, f"an answer to {i} that was not asked, to {source}")
                country = {"1": "US", "2": "DE", "3": "FR"}.get(client.split(".")[1], "unknown")
                check_equal(client_of(parse_answer(query(i=i), wire)), (client, country), f"client of {i}")


def test_udp_mixed(case, daemon):
    """Many of each kind at once."""
    burst(case, daemon, 300)


# --- handmade, over TCP ---

def test_tcp(case, daemon):
    """Once, at the beginning; it holds for all questions of the connection."""
    before = daemon.counters()
    with Tcp(daemon.addr, FRONT) as tcp:
        tcp.send_raw(header("127.2.3.4", kind=TCP) + Tcp.frame(query(i=1)) + Tcp.frame(query(i=2)))
        for i in (1, 2):
            check_equal(client_of(parse_answer(query(i=i), tcp.receive())), ("127.2.3.4", "DE"), "client")
        tcp.send(query(i=3))
        check_equal(client_of(parse_answer(query(i=3), tcp.receive())), ("127.2.3.4", "DE"), "client, later")
    wait_until(lambda: daemon.counters()["tcp_open"] <= before["tcp_open"], "closed")  # some of before may be leaving
    daemon.check_moved(before, {"queries_tcp": 3, "noerror": 3, "tcp_accepted": 1, "proxy_ok": 1}, "a connection with a header")
    with Tcp(daemon.addr, FRONT) as tcp:
        tcp.send_raw(header("2001:db8:1::5", kind=UDP, tlvs=tlv(4, bytes(500))))
        tcp.send(query("db.local.clamav.test", "A"))
        answer = parse_answer(query("db.local.clamav.test", "A"), tcp.receive())
        check_equal(addresses(answer), ["192.0.2.1"], "mirrors for an IPv6 client in US, with a header of UDP")
    with Tcp(daemon.addr, FRONT) as tcp:
        tcp.send_raw(header(None))
        tcp.send(query())
        check_equal(client_of(parse_answer(query(), tcp.receive())), (FRONT, "unknown"), "LOCAL")
    with Tcp(daemon.addr, "127.3.0.1") as tcp:
        tcp.send(query())
        check_equal(client_of(parse_answer(query(), tcp.receive())), ("127.3.0.1", "FR"), "a direct client")


def test_tcp_split(case, daemon):
    """In two segments, cut at each place up to the middle of the first message; and byte by byte."""
    stream = header("127.2.3.4", kind=TCP, tlvs=tlv(0xe0, b"abc")) + Tcp.frame(query())
    for cut in range(1, len(stream) - 20):
        with Tcp(daemon.addr, FRONT) as tcp:
            tcp.send_raw(stream[:cut])
            # The daemon has to see the piece on its own; no event tells, and when it does not, the test is only weaker.
            time.sleep(0.002)
            tcp.send_raw(stream[cut:])
            check_equal(client_of(parse_answer(query(), tcp.receive())), ("127.2.3.4", "DE"), f"client, cut at {cut}")
    with Tcp(daemon.addr, FRONT) as tcp:
        for byte in stream:
            tcp.send_raw(bytes([byte]))
            time.sleep(0.0005)
        check_equal(client_of(parse_answer(query(), tcp.receive())), ("127.2.3.4", "DE"), "client, byte by byte")


def test_tcp_closed(case, daemon):
    """Without a header, or with a bad one, the connection is closed at once and nothing is answered."""
    bad = [header("127.2.3.4", command=2), SIGNATURE + b"\x31", with_checksum("127.2.3.4", wrong=1),
           header("127.2.3.4", kind=TCP, tlvs=b"\x04")]
    missing = [Tcp.frame(query()), b"PROXY TCP4 127.2.3.4 127.0.0.1 4660 53\r\n", b"\x16\x03\x01"]
    for counter, beginnings in (("proxy_bad", bad), ("proxy_missing", missing)):
        before = daemon.counters()
        for beginning in beginnings:
            with Tcp(daemon.addr, FRONT) as tcp:
                tcp.send_raw(beginning)
                check(tcp.is_closed(DEADLINE_S), f"not closed at once after {beginning.hex()}")
        n = len(beginnings)
        wait_until(lambda: daemon.counters()["tcp_open"] <= before["tcp_open"], "closed")  # some of before may be leaving
        daemon.check_moved(before, {"tcp_accepted": n, counter: n}, counter)


def test_tcp_slow(case, _):
    """A header that is never finished is idleness; so is none. From a stranger the first two bytes of one are a length,
    and the message they announce never comes."""
    daemon = case.daemon(make_site(case, idle="2s"))
    before = daemon.counters()
    with Tcp(daemon.addr, FRONT) as silent, Tcp(daemon.addr, FRONT) as cut, Tcp(daemon.addr, "127.3.0.1") as stranger:
        cut.send_raw(header("127.2.3.4")[:20])
        stranger.send_raw(header("127.2.3.4", kind=TCP) + Tcp.frame(query()))
        for tcp in (silent, cut, stranger):
            check(tcp.is_closed(DEADLINE_S), "an answer, or no end after tcp-idle")
    daemon.check_moved(before, {"tcp_accepted": 3, "tcp_idle_closed": 3}, "idle connections")


def test_tcp_half_closed(case, daemon):
    """Header, question, and that is all: it is answered. A header cut off by the end is the end."""
    with Tcp(daemon.addr, FRONT) as tcp:
        tcp.send_raw(header("127.2.3.4") + Tcp.frame(query()))
        tcp.sock.shutdown(socket.SHUT_WR)
        check_equal(client_of(parse_answer(query(), tcp.receive())), ("127.2.3.4", "DE"), "client")
        check(tcp.is_closed(DEADLINE_S), "not closed")
    for sent, moved in ((header("127.2.3.4")[:20], {"proxy_bad": 1}), (SIGNATURE[:1], {"proxy_bad": 1}), (b"", {})):
        before = daemon.counters()
        with Tcp(daemon.addr, FRONT) as tcp:
            tcp.send_raw(sent)
            tcp.sock.shutdown(socket.SHUT_WR)
            check(tcp.is_closed(DEADLINE_S), "not closed at once")
        daemon.check_moved(before, {"tcp_accepted": 1} | moved, f"{len(sent)} bytes of a header and the end")


def test_tcp_per_client(case, _):
    """The limit of connections by client goes by who stands behind the front end, which has none itself."""
    site = make_site(case, server=LISTED + " tcp-clients-per-prefix = 2;", workers=1)
    daemon = case.daemon(site)
    before = daemon.counters()

    def connect(client):
        tcp = case.stack.enter_context(Tcp(daemon.addr, FRONT))
        tcp.send_raw(header(client, kind=TCP) + Tcp.frame(query()))
        return tcp

    for client in ("127.2.0.1", "127.2.0.1", "127.3.0.1", "127.3.0.1", "127.2.0.2", FRONT):
        check_equal(client_of(parse_answer(query(), connect(client).receive()))[0], client, "client")
    for client in ("127.2.0.1", "127.3.0.1"):
        check(connect(client).is_closed(DEADLINE_S), f"a third connection of {client}")
    daemon.check_moved(before, {"tcp_accepted": 8, "tcp_open": 6, "tcp_refused_prefix": 2, "proxy_ok": 8, "queries_tcp": 6,
                                "noerror": 6}, "six connections and two too many")
    with Tcp(daemon.addr, "127.2.0.2") as direct:
        direct.send(query())
        check_equal(client_of(parse_answer(query(), direct.receive()))[0], "127.2.0.2", "its second, direct")
        with Tcp(daemon.addr, "127.2.0.2") as third:
            check(third.is_closed(DEADLINE_S), "its third, direct")


def test_tls(case, _):
    """Over TLS the header may stand inside; from a stranger, one before it is no TLS. More is in t46_proxy_tls."""
    site = make_site(case, server=LISTED + tls_keys())
    make_certificate(site)
    daemon = case.daemon(site)
    server = tls_addr(daemon)
    before = daemon.counters()
    with Tls(server, source=FRONT) as tls:
        tls.tls.write(header("127.2.3.4", kind=TCP) + Tcp.frame(query(i=1)))
        tls.flush()
        tls.send(query(i=2))
        for i in (1, 2):
            check_equal(client_of(parse_answer(query(i=i), tls.receive())), ("127.2.3.4", "DE"), "client")
    with Tls(server, source="127.3.0.1") as tls:
        tls.send(query())
        check_equal(client_of(parse_answer(query(), tls.receive())), ("127.3.0.1", "FR"), "a direct client")
    with Tcp(server, "127.3.0.1") as tcp:
        tcp.send_raw(header("127.2.3.4", kind=TCP))
        tcp.sock.settimeout(DEADLINE_S)
        while tcp.sock.recv(4096):  # the alert, if there is one
            pass
    after = daemon.counters()
    check_equal([after[name] - before[name] for name in ("proxy_ok", "proxy_missing", "proxy_bad", "tls_handshakes",
                                                         "tls_handshake_failures")], [1, 0, 0, 2, 1], "counters")


# --- IPv6, reload ---

def test_ipv6(case, _):
    """A front end on IPv6, with clients of both families; on the wildcard too."""
    need_ipv6()
    daemon = case.daemon(make_site(case, listen=("::@0", "127.0.0.1@0")))
    server = ("::1", daemon.addr[1])
    for client, country in (("127.2.3.4", "DE"), ("2001:db8:1::5", "US")):
        check_equal(client_of(behind(daemon, header(client), source="::1", server=server)), (client, country), "over UDP")
        with Tcp(server) as tcp:
            tcp.send_raw(header(client, kind=TCP) + Tcp.frame(query()))
            check_equal(client_of(parse_answer(query(), tcp.receive())), (client, country), "over TCP")


def test_reload(case, _):
    """The list changes with a reload, for each packet and each new connection after it."""
    site = make_site(case, server="")
    daemon = case.daemon(site)
    text = open(site.path).read()
    with Tcp(daemon.addr, FRONT) as old:
        old.send(query(i=1))
        check_equal(client_of(parse_answer(query(i=1), old.receive())), (FRONT, "unknown"), "as long as it is not listed")
        site.write("dnsd.conf", text.replace("server: {", f"server: {{ {LISTED}"))
        daemon.reload()
        check_equal(client_of(behind(daemon, header("127.2.3.4"))), ("127.2.3.4", "DE"), "once it is")
        check_silent(daemon, query())
        with Tcp(daemon.addr, FRONT) as tcp:
            tcp.send_raw(header("127.3.0.9") + Tcp.frame(query()))
            check_equal(client_of(parse_answer(query(), tcp.receive())), ("127.3.0.9", "FR"), "over TCP")
        old.send(query(i=2))
        check_equal(client_of(parse_answer(query(i=2), old.receive())), (FRONT, "unknown"), "an old connection goes on")
    burst(case, daemon, 100)
    site.write("dnsd.conf", text)
    daemon.reload()
    burst(case, daemon, 100, listed=False)
    for source in (FRONT, "127.2.0.1"):
        check_equal(client_of(ask(daemon, "whoami.clamav.test", "TXT", source=source))[0], source, "a direct client again")
        check_equal(client_of(ask(daemon, "whoami.clamav.test", "TXT", TCP, source))[0], source, "over TCP")
    site.write("dnsd.conf", text.replace("server: {", 'server: { proxy-allow = "127.99.0.1/16";'))
    lines = daemon.reload(fails=True)
    check(any('proxy-allow' in line and '"127.99.0.1/16"' in line for line in lines), f"what the log says: {lines}")


# --- real front ends ---

def test_kdig(case, daemon):
    """kdig as the front end."""
    kdig = need_program("kdig")
    for options, client in (("+notcp", "127.2.3.4"), ("+tcp", "127.3.0.9"), ("+notcp", "2001:db8:1::5"), ("+tcp", "2001:db8:1::5")):
        destination = "198.51.100.1" if "." in client else "2001:db8::1"
        status, text = run([kdig, "-b", FRONT, f"@{daemon.addr[0]}", "-p", str(daemon.addr[1]), options, "+short",
                            f"+proxy={client}#4660-{destination}#53", "whoami.clamav.test", "TXT"])
        check(status == 0 and f'"address={client}"' in text, f"kdig {options} for {client}: {text}")


class Dnsdist:
    """dnsdist before a daemon."""

    def __init__(self, case, backend, source="", listen="127.0.0.1", more="", server=""):
        program = need_program("dnsdist")
        self.addr = (listen, free_port(listen))
        listen, backend = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in (self.addr, backend))
        path = os.path.join(case.folder, f"dnsdist-{self.addr[1]}.conf")
        with open(path, "w") as file:
            file.write(f"""
setLocal("{listen}")
setACL({{"0.0.0.0/0", "::/0"}})
setSecurityPollSuffix("")
newServer({{address="{backend}", {f'source="{source}", ' if source else ""}useProxyProtocol=true, {server}
           checkName="clamav.test.", checkType="SOA", mustResolve=true, maxCheckFailures=5}})
{more}
""")
        self.process = subprocess.Popen([program, "--supervised", "--disable-syslog", "-C", path], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self.log = Output(self.process.stdout)
        case.stack.callback(self.stop)
        self.log.wait(r"Marking downstream .* as 'up'")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def test_dnsdist(case, daemon):
    """whoami sees through it, over UDP and TCP; the nearest pool is the true client's; health checks pass."""
    before = daemon.counters()
    front = Dnsdist(case, daemon.addr, FRONT)
    clients = (("127.2.3.4", "DE", "192.0.2.49"), ("127.3.0.9", "FR", "192.0.2.33"), ("127.1.0.1", "US", "192.0.2.1"))
    for transport in (UDP, TCP):
        for client, country, mirror in clients:
            who = ask(daemon, "whoami.clamav.test", "TXT", transport, client, server=front.addr)
            check_equal(client_of(who), (client, country), f"client over {transport}")
            near = ask(daemon, "db.local.clamav.test", "A", transport, client, server=front.addr)
            check_equal(addresses(near), [mirror], f"mirrors for {client} over {transport}")
            check_equal(client_of(ask(daemon, "whoami.clamav.test", "TXT", transport, client)), (client, country), "direct")
    with Tcp(front.addr, "127.2.3.4") as tcp:
        for i in range(5):
            tcp.send(query(i=i))
            check_equal(client_of(parse_answer(query(i=i), tcp.receive())), ("127.2.3.4", "DE"), "client, one connection")
    after = daemon.counters()
    moved = {name: after[name] - before[name] for name in after}
    check_equal((moved["proxy_bad"], moved["proxy_missing"]), (0, 0), "bad and missing headers")
    check(moved["proxy_ok"] >= 13, f"{moved['proxy_ok']} headers, at least one a question over UDP and one a client over TCP")


def test_dnsdist_tlvs(case, daemon):
    """With values of its own in the header; and from the client's UDP to our TCP."""
    front = Dnsdist(case, daemon.addr, FRONT, more='addAction(AllRule(), SetProxyProtocolValuesAction({["2"]="ns1", ["224"]="x"}))')
    for transport in (UDP, TCP):
        who = ask(daemon, "whoami.clamav.test", "TXT", transport, "127.2.3.4", server=front.addr)
        check_equal(client_of(who), ("127.2.3.4", "DE"), f"client over {transport}")


def test_dnsdist_ipv6(case, _):
    """IPv6 clients before an IPv4 backend, and both before one on IPv6."""
    need_ipv6()
    daemon = case.daemon(make_site(case, listen=("127.0.0.1@0", "::1@0")))
    v4, v6 = daemon.listeners
    for backend, source, listen, client in ((v4, FRONT, "::1", "::1"), (v6, "", "::1", "::1"), (v6, "", "127.0.0.1", "127.3.0.9")):
        front = Dnsdist(case, backend, source, listen)
        for transport in (UDP, TCP):
            who = ask(daemon, "whoami.clamav.test", "TXT", transport, client, server=front.addr)
            check_equal(client_of(who)[0], client, f"client over {transport}, {listen} to {backend[0]}")


def test_dnsdist_many(case, daemon):
    """Many clients at once through one front end, beside direct ones: nobody is taken for another."""
    front = Dnsdist(case, daemon.addr, FRONT)
    trouble = []

    def repeat(number, server):
        client = f"127.{2 + number % 2}.0.{number + 1}"
        country = ("DE", "FR")[number % 2]
        try:
            for i in range(30):
                who = ask(daemon, "whoami.clamav.test", "TXT", TCP if i % 5 == 4 else UDP, client, server=server)
                check_equal(client_of(who), (client, country), "client")
        except Exception as failure:  # for the thread that asks
            trouble.append(f"{client}: {failure!r}")

    threads = [threading.Thread(target=repeat, args=(n, front.addr if n % 3 else daemon.addr)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check_equal(trouble, [], "what went wrong")


def test_dnsdist_tls(case, _):
    """From dnsdist to us over TLS."""
    site = make_site(case, server=LISTED + tls_keys())
    make_certificate(site)
    daemon = case.daemon(site)
    front = Dnsdist(case, tls_addr(daemon), FRONT, server='tls="openssl", validateCertificates=false,')
    for transport in (UDP, TCP):
        who = ask(daemon, "whoami.clamav.test", "TXT", transport, "127.2.3.4", server=front.addr)
        check_equal(client_of(who), ("127.2.3.4", "DE"), f"client over {transport}")
    check_equal(daemon.counters()["proxy_missing"], 0, "connections without a header")
