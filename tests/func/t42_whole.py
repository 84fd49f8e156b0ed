"""Answers over UDP are never sent in pieces: RFC 9715 3.1."""
import os
import socket
import struct
import subprocess
import time

from harness import DEADLINE_S, Skip, addresses, check, check_equal, exchange_udp, is_tc, make_query, need_ipv6, need_program, parse_answer, run

MIRRORS = [("m.de.example", "DE", [f"198.51.100.{i}" for i in range(1, 100)])]
NAME = "db.de.big.clamav.test"  # all 99 addresses: 1,634 bytes
LARGE = 4096
MTU = 1280
DONT_FRAGMENT = 0x4000

# What asks inside of a network namespace: the question comes on standard input, the answer goes to standard output.
ASK = "import socket, sys; s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM); " \
      "s.settimeout(20); s.connect((sys.argv[1], int(sys.argv[2]))); s.send(sys.stdin.buffer.read()); sys.stdout.buffer.write(s.recv(65535))"


def need_root():
    if os.geteuid() != 0:
        raise Skip("this needs root")


def make_site(case, **conf):
    return case.site().pool_site(MIRRORS, server=f"edns-size = {LARGE};", workers=1, **conf)


def test_df(case, _):
    """Small and large, they have the bit: no router cuts them."""
    need_root()
    daemon = case.daemon(make_site(case))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        raw.settimeout(DEADLINE_S)
        for name, edns in (("www.clamav.test", None), (NAME, LARGE)):
            exchange_udp(daemon.addr, make_query(name, "A", edns=edns).to_wire())
            end = time.monotonic() + DEADLINE_S
            while time.monotonic() < end:  # other programs send as well
                packet = raw.recv(65535)
                header_len = (packet[0] & 15) * 4
                if struct.unpack(">H", packet[header_len:header_len + 2])[0] == daemon.addr[1]:
                    break
            check(struct.unpack(">H", packet[6:8])[0] & DONT_FRAGMENT, f"the answer to {name} has no DF")


class Narrow:
    """A network namespace whose loopback device takes packets of MTU bytes, no larger ones. Ends with the case."""

    def __init__(self, case):
        self.ip = need_program("ip")
        self.name = f"dnsd-narrow-{os.getpid()}"
        status, text = run([self.ip, "netns", "add", self.name])
        if status:
            raise Skip(f"no network namespace here: {text.strip()}")
        case.stack.callback(run, [self.ip, "netns", "del", self.name])
        for words in (["mtu", str(MTU)], ["up"]):
            status, text = run([self.ip, "-n", self.name, "link", "set", "lo", *words])
            check_equal(status, 0, f"ip link set lo {' '.join(words)}: {text}")

    def exchange(self, addr, wire):
        command = [self.ip, "netns", "exec", self.name, "/usr/bin/python3", "-c", ASK, addr[0], str(addr[1])]
        return subprocess.run(command, input=wire, stdout=subprocess.PIPE, timeout=3 * DEADLINE_S, check=True).stdout


def test_narrow(case, _):
    """What the interface does not take whole goes out truncated, over both families; what it takes goes out whole."""
    need_root()
    need_ipv6()
    narrow = Narrow(case)
    daemon = case.daemon(make_site(case, listen=["127.0.0.1@0", "::1@0"]), netns=narrow.name)
    for addr in daemon.listeners:
        query = make_query(NAME, "A", edns=LARGE)
        wire = query.to_wire()
        answer = parse_answer(wire, narrow.exchange(addr, wire), LARGE)
        check(is_tc(answer) and not answer.answer, f"{addr[0]}: {answer}")
        check_equal(answer.edns, 0, "EDNS version of the truncated answer")
        small = make_query("www.clamav.test", "A", edns=LARGE).to_wire()
        check_equal(len(addresses(parse_answer(small, narrow.exchange(addr, small), LARGE))), 1, "a small answer")
    check_equal(daemon.counters()["udp_too_large"], 2, "udp_too_large")
    check_equal((daemon.counters()["truncated"], daemon.counters()["udp_send_errors"]), (2, 0), "truncated, udp_send_errors")


def test_wide(case, _):
    """An interface that takes it gets the same answer whole."""
    daemon = case.daemon(make_site(case))
    wire = make_query(NAME, "A", edns=LARGE).to_wire()
    answer = parse_answer(wire, exchange_udp(daemon.addr, wire), LARGE)
    check_equal((is_tc(answer), len(addresses(answer))), (False, 99), "TC and addresses")
