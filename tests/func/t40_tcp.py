"""Transport: TCP framing and limits, several addresses, answers from the address that was asked."""
import os
import select
import signal
import socket
import struct
import time

from harness import (DEADLINE_S, TCP, UDP, Tcp, addresses, amount, ask, check, check_equal, check_rcode, check_within, exchange_udp,
                     free_port, is_sanitized, make_query, need_ipv6, open_socket, parse_answer, wait_until)
from t82_follow import OTHERS_SHARE, OthersShare

MIRRORS = [("m.de.example", "DE", [f"198.51.100.{i}" for i in range(1, 100)]), ("m.fr.example", "FR", ["192.0.2.1"])]
IDLE_S = 1


def start(case, idle_s):
    return case.daemon(case.site().pool_site(MIRRORS, server=f'tcp-idle = "{idle_s}s"; tcp-clients = 50; stop-drain = "1s";', workers=1))


def setup(case):
    """One whose clients may be held up for a while without being idle."""
    return start(case, 60)


def query(i=0, name="www.clamav.test", rdtype="A"):
    message = make_query(name, rdtype)
    message.id = i
    return message.to_wire()


def test_one(case, daemon):
    """A question and its answer; the connection then stays open for more."""
    before = daemon.counters()
    with Tcp(daemon.addr) as tcp:
        for i in range(3):
            tcp.send(query(i))
            check_rcode(parse_answer(query(i), tcp.receive()), "NOERROR")
    wait_until(lambda: daemon.counters()["tcp_open"] <= before["tcp_open"], "the connection is counted as closed")
    daemon.check_moved(before, {"queries_tcp": 3, "noerror": 3, "tcp_accepted": 1}, "three questions in a connection")


def test_pipelined(case, daemon):
    """500 questions in one go; each is answered once."""
    with Tcp(daemon.addr) as tcp:
        tcp.send(*[query(i) for i in range(500)])
        got = [struct.unpack(">H", tcp.receive()[:2])[0] for _ in range(500)]
        check_equal(sorted(got), list(range(500)), "ids answered")


def test_pipelined_big(case, daemon):
    """Large answers faster than they are read: all come, none is torn."""
    with Tcp(daemon.addr) as tcp:
        requests = [query(i, "db.de.big.clamav.test") for i in range(300)]
        tcp.send(*requests)
        answers = [tcp.receive() for _ in range(300)]
    for i in range(300):
        check_equal(len(addresses(parse_answer(requests[i], answers[i]))), 99, f"addresses in answer {i}")


def test_split(case, daemon):
    """A message in pieces: length byte by byte, then the rest, at every place."""
    frame = Tcp.frame(query(7))
    with Tcp(daemon.addr) as tcp:
        for cut in range(1, len(frame)):
            tcp.send_raw(frame[:cut])
            # The server has to see the piece on its own; no event tells, and when it does not, the test is only weaker.
            time.sleep(0.001)
            tcp.send_raw(frame[cut:])
            parse_answer(query(7), tcp.receive())
        for byte in frame:
            tcp.send_raw(bytes([byte]))
            time.sleep(0.0005)
        parse_answer(query(7), tcp.receive())


def test_mixed_segments(case, daemon):
    """One and a half message in a segment, then the rest with two more."""
    frames = [Tcp.frame(query(i)) for i in range(4)]
    stream = b"".join(frames)
    cut = len(frames[0]) + len(frames[1]) // 2
    with Tcp(daemon.addr) as tcp:
        tcp.send_raw(stream[:cut])
        parse_answer(query(0), tcp.receive())
        tcp.send_raw(stream[cut:])
        for i in range(1, 4):
            parse_answer(query(i), tcp.receive())


def test_odd_lengths(case, daemon):
    """A length of 0 ends the connection; one under a header is a message to drop; the largest there is gets its answer. Others never suffer."""
    large = query()[:2] + b"\0" * 65533
    for what, raw, answers, moved in (
            ("a length of 0", b"\0\0", 0, {"tcp_bad_frames": 1}),
            ("a length of 0 behind a question", Tcp.frame(query(9)) + b"\0\0", 1, {"tcp_bad_frames": 1, "queries_tcp": 1, "noerror": 1}),
            ("one byte", b"\0\1a", 1, {"dropped_short": 1, "queries_tcp": 2, "noerror": 1}),
            ("eleven bytes", b"\0\x0b" + b"a" * 11, 1, {"dropped_short": 1, "queries_tcp": 2, "noerror": 1}),
            ("65535 bytes", Tcp.frame(large), 2, {"formerr": 1, "queries_tcp": 2, "noerror": 1})):  # QDCOUNT 0
        before = daemon.counters()
        with Tcp(daemon.addr) as tcp:
            tcp.send_raw(raw)
            if "tcp_bad_frames" not in moved:
                tcp.send(query(9))
            for left in range(answers, 0, -1):
                answer = tcp.receive()
                check_equal((answer[:2], answer[3] & 15), (b"\0\x09", 0) if left == 1 else (large[:2], 1), f"{what}: id and rcode")
            if "tcp_bad_frames" in moved:
                check(tcp.is_closed(DEADLINE_S), f"{what}: not closed")
        daemon.check_moved(before, {"tcp_accepted": 1} | moved, what)
        check_rcode(ask(daemon, "www.clamav.test", transport=TCP), "NOERROR")


def test_cut_off(case, daemon):
    """A client that ends in the middle of a message is counted, and one that ends between two is not; so is one that speaks HTTP to us."""
    frame = Tcp.frame(query(9))
    for raw, bad_n in ((b"", 0), (frame, 0), (frame[:1], 1), (frame[:2], 1), (frame[:-1], 1), (frame + frame[:9], 1),
                       (b"GET / HTTP/1.1\r\nHost: ns1\r\n\r\n", 1)):
        before = daemon.counters()
        with Tcp(daemon.addr) as tcp:
            tcp.send_raw(raw)
            tcp.sock.shutdown(socket.SHUT_WR)
            answered = raw.startswith(frame)
            if answered:
                parse_answer(query(9), tcp.receive())
            check(tcp.is_closed(DEADLINE_S), f"not closed after {raw}")
        moved = {"tcp_accepted": 1, "tcp_bad_frames": bad_n, "queries_tcp": answered, "noerror": answered}
        daemon.check_moved(before, {name: int(n) for name, n in moved.items() if n}, f"{raw} and the end")


def test_half_closed(case, daemon):
    """A client that says it will send no more still gets its answers."""
    with Tcp(daemon.addr) as tcp:
        tcp.send(*[query(i) for i in range(20)])
        tcp.sock.shutdown(socket.SHUT_WR)
        got = [struct.unpack(">H", tcp.receive()[:2])[0] for _ in range(20)]
        check_equal(sorted(got), list(range(20)), "ids answered")
        check(tcp.is_closed(DEADLINE_S), "not closed after the last answer")


def keep_busy(tcp, seconds):
    """Ask for so long. None when the machine has let us wait so long in between that the server may call it idle."""
    start = last = time.monotonic()
    while last - start < seconds:
        try:
            tcp.send(query(3))
            tcp.receive()
        except (EOFError, ConnectionError):
            check(time.monotonic() - last > IDLE_S * 0.9, "a busy connection was closed")
            return None
        time.sleep(0.05)
        last = time.monotonic()
    return True


def test_idle(case, _):
    """Closed after the idle limit, not before; a half-sent message does not keep it open."""
    daemon = start(case, IDLE_S)

    def attempt():
        before = daemon.counters()["tcp_idle_closed"]
        with Tcp(daemon.addr) as silent, Tcp(daemon.addr) as half, Tcp(daemon.addr) as busy:
            begin = time.monotonic()
            half.send_raw(b"\0\x20half")
            if not keep_busy(busy, IDLE_S * 1.6):
                return None
            check(silent.is_closed(DEADLINE_S), "the silent one is still open")
            check(half.is_closed(DEADLINE_S), "the one with half a message is still open")
            check(time.monotonic() - begin >= IDLE_S * 0.9, f"closed after {time.monotonic() - begin:.2f} s")
            if not keep_busy(busy, 0.01):
                return None
            check(busy.is_closed(DEADLINE_S), "not closed once it was idle too")
        wait_until(lambda: daemon.counters()["tcp_idle_closed"] - before == 3, "three connections counted as closed idle")
        return True
    wait_until(attempt, "a second in which the machine lets us be busy", 3 * DEADLINE_S)


def test_never_reads(case, _):
    """A client that asks for much and reads nothing (CVE-2024-0760 of a peer) costs bounded memory and hurts nobody."""
    daemon = start(case, 8)
    frames = b"".join(Tcp.frame(query(i, "db.de.big.clamav.test")) for i in range(100))
    before = daemon.rss_kb()
    with Tcp(daemon.addr) as greedy:
        greedy.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.sock.setblocking(False)
        sent = 0
        try:
            while sent < 20_000_000:
                sent += greedy.sock.send(frames)
        except (BlockingIOError, ConnectionError):
            pass
        begin = time.monotonic()
        check_rcode(ask(daemon, "www.clamav.test", transport=TCP), "NOERROR")
        check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")
        check_within(time.monotonic() - begin, 2, "others had to wait")
        # They have not waited for its end, which is by the idle limit.
        check(daemon.counters()["tcp_open"] >= 1, "others had to wait")
        wait_until(lambda: daemon.counters()["tcp_open"] == 0, "it is closed as idle")
    grown = daemon.rss_kb() - before
    check(grown < (200_000 if is_sanitized() else 30_000), f"memory grew by {grown} kB")


def test_many_clients(case, daemon):
    """More connections than tcp-clients: some are refused, those in hand are served, and room comes back."""
    before = daemon.counters()
    with_answer = 0
    open_ones = []
    try:
        for i in range(80):
            tcp = Tcp(daemon.addr)
            open_ones.append(tcp)
            try:
                tcp.send(query(i))
                tcp.receive()
                with_answer += 1
            except (EOFError, ConnectionError):
                pass
    finally:
        for tcp in open_ones:
            tcp.sock.close()
    check(40 <= with_answer <= 80, f"{with_answer} of 80 connections were served")
    after = daemon.counters()
    check(after["tcp_accepted"] + after["tcp_refused"] - before["tcp_accepted"] - before["tcp_refused"] >= 80,
          "connections counted")
    wait_until(lambda: daemon.counters()["tcp_open"] == 0, "all connections are closed")
    check_rcode(ask(daemon, "www.clamav.test", transport=TCP), "NOERROR")


def test_reset(case, daemon):
    """Clients that reset in the middle of everything."""
    for i in range(50):
        tcp = Tcp(daemon.addr)
        tcp.send(*[query(i, "db.de.big.clamav.test")] * (i + 1))
        tcp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        tcp.sock.close()
    wait_until(lambda: daemon.counters()["tcp_open"] == 0, "all connections are closed")
    check_rcode(ask(daemon, "www.clamav.test", transport=TCP), "NOERROR")


def test_several_listeners(case, daemon):
    """Several addresses and both families."""
    need_ipv6()
    other = case.daemon(case.site().pool_site(MIRRORS, listen=["127.0.0.1@0", "127.0.0.2@0", "::1@0"]))
    check_equal([host for host, _ in other.listeners], ["127.0.0.1", "127.0.0.2", "::1"], "listeners")
    for server in other.listeners:
        for transport in (UDP, TCP):
            check_rcode(ask(other, "www.clamav.test", server=server, transport=transport), "NOERROR")


def test_wildcard(case, daemon):
    """Bound to all addresses, answers leave from the one that was asked: a connected socket takes no other."""
    other = case.daemon(case.site().pool_site(MIRRORS, listen=["0.0.0.0@0"]))
    port = other.addr[1]
    for host in ("127.0.0.1", "127.0.0.5", "127.77.88.99"):
        for source in (None, "127.0.0.9", "127.3.0.1"):
            for transport in (UDP, TCP):
                check_rcode(ask(other, "www.clamav.test", server=(host, port), source=source, transport=transport), "NOERROR")
    # Many at a time: each answer of a batch from its own address.
    socks = [open_socket((f"127.0.1.{i}", port), socket.SOCK_DGRAM) for i in range(1, 40)]
    for i, sock in enumerate(socks):
        sock.send(query(i))
    for i, sock in enumerate(socks):
        check_equal(struct.unpack(">H", sock.recv(512)[:2])[0], i, "id")
        sock.close()
    answer = ask(other, "db.local.clamav.test", server=("127.0.0.5", port), source="127.3.0.1")
    check_equal(addresses(answer), ["192.0.2.1"], "nearest, asked from France on a wildcard listener")


def test_wildcard_ipv6(case, daemon):
    """The same with ::, which is for IPv6 only."""
    need_ipv6()
    other = case.daemon(case.site().pool_site(MIRRORS, listen=["::@0"]))
    port = other.addr[1]
    for transport in (UDP, TCP):
        check_rcode(ask(other, "www.clamav.test", server=("::1", port), transport=transport), "NOERROR")
    try:
        exchange_udp(("127.66.77.88", port), query())  # where nobody else is, who may have the same port
        refused = False
    except ConnectionRefusedError:
        refused = True
    check(refused, ":: takes IPv4 as well")


def test_stop_drains(case, daemon):
    """SIGTERM: what was asked is answered, connections are closed, exit status 0."""
    other = case.daemon(case.site().pool_site(MIRRORS, server='stop-drain = "1m"; tcp-idle = "2m";'))
    with Tcp(other.addr) as tcp, Tcp(other.addr) as silent:
        tcp.send(*[query(i, "db.de.big.clamav.test") for i in range(100)])
        tcp.receive()  # the server is at it
        other.process.terminate()
        got = 1
        try:
            while True:
                tcp.receive()
                got += 1
                if got == 100:
                    break
        except (EOFError, ConnectionError):
            pass
        check_equal(got, 100, "answers to what was asked before the stop")
        other.process.wait(DEADLINE_S)  # when nothing is left to answer, whatever stop-drain
        check(silent.is_closed(DEADLINE_S), "the silent connection is open")
    other.stop()
    check(any("stopped" in line for line in other.log.lines), "no word of the end in the log")


def test_stop_signals(case, daemon):
    """SIGINT stops as well; the port is free again at once."""
    host, port = "127.0.0.1", free_port()
    for _ in range(2):
        daemon = case.daemon(case.site().pool_site(MIRRORS, listen=[f"{host}@{port}"]))
        check_equal(daemon.addr, (host, port), "listener")
        with Tcp(daemon.addr) as tcp:  # which the server ends, so that its side is in TIME_WAIT
            tcp.send(query())
            tcp.receive()
            daemon.stop(signal.SIGINT)


def ask_greedily(addr, seconds):
    """Four connections that always have more large answers to ask for, and read what comes."""
    block = b"".join(Tcp.frame(query(i, "db.de.big.clamav.test")) for i in range(1000))
    clients = [[open_socket(addr, socket.SOCK_STREAM), b""] for _ in range(4)]
    for client in clients:
        client[0].setblocking(False)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        readable, writable, _ = select.select([c[0] for c in clients], [c[0] for c in clients], [], 0.1)
        for sock in readable:
            sock.recv(1 << 20)
        for client in clients:
            if client[0] in writable:
                client[1] = client[1] or block
                client[1] = client[1][client[0].send(client[1]):]


def test_greedy(case, daemon):
    """Connections that pipeline without end take turns with everybody else: UDP is answered as ever, and other connections."""
    child = os.fork()
    if child == 0:
        try:
            ask_greedily(daemon.addr, 3)
        finally:
            os._exit(0)
    try:
        time.sleep(0.3)  # not needed for the test to be right: only for all of it to be under load
        before = daemon.counters()["queries_tcp"]
        others = OthersShare((os.getpid(), daemon.pid, child))
        udp, tcp = [], []
        end = time.monotonic() + 2
        with Tcp(daemon.addr) as other:
            while time.monotonic() < end:
                start = time.monotonic()
                check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")
                udp.append(time.monotonic() - start)
                start = time.monotonic()
                other.send(query(1))
                other.receive()
                tcp.append(time.monotonic() - start)
        answered = daemon.counters()["queries_tcp"] - before
        busy = is_sanitized() or others.get() > OTHERS_SHARE
        limit = amount(0.5 if busy else 0.03, 0.03, 0.5)
    finally:
        os.waitpid(child, 0)
    for what, times in (("UDP", udp), ("TCP", tcp)):
        p99 = sorted(times)[int(len(times) * 0.99)]
        print(f"     {what} beside {answered / 2:.0f} large TCP answers a second: p99 {p99 * 1000:.1f} ms of {len(times)}")
        check(p99 < limit, f"{what}: 99th percentile {p99 * 1000:.1f} ms")
    check(answered > (200 if is_sanitized() else 2000), f"only {answered} answers over TCP: the test shows nothing")
