"""Listeners: addresses that overlap, that another has, and sockets that somebody ends from outside."""
import re
import shutil
import socket
import time

import t91_takeover
from harness import (DEADLINE_S, DNSD, STATE, TCP, UDP, Daemon, Skip, Tcp, ask, check, check_equal, check_rcode, free_port, make_query,
                     need_program, parse_answer, run)
from t86_metrics import Metrics, add_metrics, refused, start
from t93_sandbox import USER, user_site
from tls_support import Tls, make_certificate, tls_addr, tls_keys

MIRRORS = [("m.de.example", "DE", ["192.0.2.49"]), ("m.fr.example", "FR", ["192.0.2.1"])]


def query(i):
    message = make_query("www.clamav.test", "A")
    message.id = i
    return message.to_wire()


def end_listeners(port):
    """As an operator does who ends what is open at a port."""
    status, text = run([need_program("ss"), "-K", "-l", "-t", "sport", "=", f":{port}"])
    check_equal(status, 0, f"exit status of ss -K: {text}")


def test_ended_listeners(case, _):
    """"ss -K" ends sockets, those that listen too: they listen again, with TLS and without. Idle connections need not go for that. UDP
    sockets go on."""
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", free_port()))
        mine.listen()
        end_listeners(mine.getsockname()[1])
        if mine.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise Skip("ss -K needs root, and a kernel with CONFIG_INET_DIAG_DESTROY")
    site = case.site()
    make_certificate(site)
    # Of several sockets at one address, the kernel finds but one to end.
    daemon = case.daemon(site.pool_site(MIRRORS, server=tls_keys() + 'tcp-idle = "60s";', workers=1))
    tls_server = tls_addr(daemon)
    with Tcp(daemon.addr) as idle:
        idle.send(query(1))
        idle.receive()
        time.sleep(0.6)  # from half a second on it would have to give way
        for round_n in (1, 2):
            before = daemon.counters()
            end_listeners(daemon.addr[1])
            end_listeners(tls_server[1])
            daemon.check_moved(before, {"tcp_revived": 2}, "two sockets that were ended")
            for i in range(10):
                check_rcode(ask(daemon, "www.clamav.test", transport=TCP), "NOERROR")
                with Tls(tls_server) as tls:
                    tls.send(query(i))
                    check_rcode(parse_answer(query(i), tls.receive()), "NOERROR")
        idle.send(query(2))
        check_rcode(parse_answer(query(2), idle.receive()), "NOERROR")
    run(["ss", "-K", "-a", "-u", "sport", "=", f":{daemon.addr[1]}"])
    for _ in range(10):
        check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")
