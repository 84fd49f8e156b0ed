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


def check_no_start(site, want):
    second = Daemon(site.path, ready=False)
    try:
        check_equal(second.process.wait(DEADLINE_S), 1, "exit status")
        second.log.thread.join(DEADLINE_S)
        check(any(want in line for line in second.log.lines), f"{want!r} is missing in: {second.log.lines}")
    finally:
        second.kill()


def test_second_server(case, _):
    """Where a dnsd serves, another does not start and none moves to: the kernel would share out the requests to both, and each would
    answer by its own data."""
    site = case.site()
    make_certificate(site)
    first = case.daemon(site.pool_site(MIRRORS, server=tls_keys(), workers=2))
    (_, port), (_, tls_port) = first.addr, tls_addr(first)
    other = case.daemon(case.site().pool_site(MIRRORS))
    want = f"cannot listen on 127.0.0.1@{port}: another server has this address and port"
    check_no_start(case.site().pool_site(MIRRORS, listen=[f"127.0.0.1@{port}"]), want)
    text = open(other.conf_path).read()
    with open(other.conf_path, "w") as file:
        file.write(text.replace("127.0.0.1@0", f"127.0.0.1@{port}"))
    check(any(want in line for line in other.reload(fails=True)), "what the log says of the reload")
    with open(other.conf_path, "w") as file:
        file.write(text)
    site = case.site()
    make_certificate(site)
    check_no_start(site.pool_site(MIRRORS, server=tls_keys(listen=f"127.0.0.1@{tls_port}")), f"cannot listen on 127.0.0.1@{tls_port}: ")
    # Its own may overlap, from the start and by a reload.
    both = case.daemon(case.site().pool_site(MIRRORS, listen=[f"127.0.0.1@{free_port('0.0.0.0')}"], workers=2))
    port = both.addr[1]
    for listen in (f'"0.0.0.0@{port}"', f'"127.0.0.1@{port}", "0.0.0.0@{port}"', f'"127.0.0.1@{port}"'):
        text = open(both.conf_path).read()
        with open(both.conf_path, "w") as file:
            file.write(re.sub(r"listen = \[.*?\]", f"listen = [ {listen} ]", text, count=1))
        both.reload()
        for host in ("127.0.0.1", "127.0.0.9") if "0.0.0.0" in listen else ("127.0.0.1",):
            for transport in (UDP, TCP):
                check_rcode(ask(both, "www.clamav.test", server=(host, port), transport=transport), "NOERROR")
        if listen.count("@") == 2:
            both.stop()
            both = case.daemon(both.conf_path)


def test_metrics(case, _):
    """From one address to all at the same port, and back; then both. Another dnsd gets none of it."""
    port = free_port("0.0.0.0")
    daemon = start(case, MIRRORS, metrics=f'metrics: {{ listen = [ "127.0.0.1@{port}" ]; }};\n')
    for hosts in (["0.0.0.0"], ["127.0.0.1"], ["127.0.0.1", "0.0.0.0"]):
        listen = ", ".join(f'"{host}@{port}"' for host in hosts)
        add_metrics(daemon.site, f"metrics: {{ listen = [ {listen} ]; }};\n")
        daemon.reload()
        Metrics(("127.0.0.1", port))
        check_equal(refused(("127.0.0.2", port)), "0.0.0.0" not in hosts, f"127.0.0.2 refused by {hosts}")
        for host in ("127.0.0.1", "0.0.0.0"):
            site = case.site()
            site.pool_site(MIRRORS)
            add_metrics(site, f'metrics: {{ listen = [ "{host}@{port}" ]; }};\n')
            status, log = run([DNSD, "-c", site.path])
            check_equal(status, 1, f"exit status of a second dnsd with metrics on {host}")
            check(f"cannot serve metrics on {host}@{port}: Address already in use" in log, log)
    # What a reload takes, a start takes too.
    daemon.stop()
    case.daemon(daemon.site)
    Metrics(("127.0.0.1", port))
    Metrics(("127.0.0.2", port))


def test_users_sockets(case, _):
    """Sockets that root has bound are the user's: a restart may have more workers, a reload may move to an address that overlaps."""
    t91_takeover.setup(case)
    port = free_port("0.0.0.0")
    site = user_site(case, listen=(f"127.0.0.1@{port}",), workers=1,
                     server=f'user = "{USER}"; sandbox = "on"; restart-drain = "200ms";' + STATE)
    metrics_port = free_port("0.0.0.0")
    with open(site.path, "a") as file:
        file.write(f'metrics: {{ listen = [ "127.0.0.1@{metrics_port}" ]; }};\n')
    program = site.file("dnsd")
    shutil.copy(DNSD, program)
    line = t91_takeover.Line(case, site, program=program)
    t91_takeover.need_sandbox(line)

    def check_served(*hosts):
        for _ in range(10):  # from as many ports: to all sockets
            for host in hosts:
                for transport in (UDP, TCP):
                    check_rcode(ask(line, "www.clamav.test", server=(host, port), transport=transport), "NOERROR")

    t91_takeover.change(site, "workers = 1;", "workers = 3;")
    line.restart()
    check_equal(line.ctl("status")["workers"], 3, "workers")
    check_served("127.0.0.1")
    t91_takeover.change(site, f'"127.0.0.1@{port}"', f'"0.0.0.0@{port}"')
    t91_takeover.change(site, f'"127.0.0.1@{metrics_port}"', f'"0.0.0.0@{metrics_port}"')
    line.ctl("reload")
    check_served("127.0.0.1", "127.0.0.2")
    for host in ("127.0.0.1", "127.0.0.2"):
        with socket.create_connection((host, metrics_port)) as http:
            http.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            check(b" 200 " in http.recv(64), f"metrics on {host}")
    t91_takeover.change(site, f'"0.0.0.0@{port}"', f'"127.0.0.1@{port}"')
    line.ctl("reload")
    check_served("127.0.0.1")
    # By root from outside: a process that becomes the user once more.
    t91_takeover.change(site, "workers = 3;", "workers = 5;")
    second = case.daemon(site, options=["--takeover"], program=program)
    line.pids.append(second.pid)
    line.reaped[second.pid] = 0  # a Daemon, which the case stops
    check_equal(second.ctl("status")["workers"], 5, "workers")
    check_served("127.0.0.1")


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
