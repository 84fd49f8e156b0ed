"""EDNS options by which a query asks for something: cookies, server id, keepalive; and the secrets that a fleet shares."""
import contextlib
import os
import re
import struct
import time

import dns.edns
import dns.message
import dns.rcode

from harness import (DEADLINE_S, DNSD, UDP, TCP, Tcp, check, check_equal, exchange_udp, make_query, need_program, parse_answer, run,
                     wait_until)

NSID, COOKIE, KEEPALIVE, PADDING = 3, 10, 11, 12
CLIENT = bytes.fromhex("2464c4abcf10c957")
MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 5)]
SECRETS = ["e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962", "dd3bdf9344b678b185a6f5cb60fca715"]


def make_site(case, server=""):
    return case.site().pool_site(MIRRORS, server=f'id = "node-1.example"; {server}')


def setup(case):
    return case.daemon(make_site(case, server='tcp-idle = "7s";'))


def exchange(daemon, wire, transport, source=None):
    if transport == UDP:
        return exchange_udp(daemon.addr, wire, source)
    with Tcp(daemon.addr, source) as tcp:
        tcp.send(wire)
        return tcp.receive()


def options_of(message):
    return [(int(option.otype), option.to_wire()) for option in message.options]


def ask(daemon, options, transport=UDP, name="www.clamav.test", source=None):
    """(RCODE, addresses in the answer, [(code, data)])"""
    query = make_query(name, "A", edns=1232)
    query.use_edns(0, 0, 1232, options=[dns.edns.GenericOption(code, data) for code, data in options])
    wire = query.to_wire()
    message = parse_answer(wire, exchange(daemon, wire, transport, source))
    return dns.rcode.to_text(message.rcode()), sum(len(rrset) for rrset in message.answer), options_of(message)


def ask_cookie(daemon, cookie=CLIENT, transport=UDP, source=None, **keywords):
    """(RCODE, addresses in the answer, the cookie of the answer)"""
    rcode, answers, options = ask(daemon, [(COOKIE, cookie)], transport, source=source, **keywords)
    check_equal([(code, len(data), data[:8]) for code, data in options], [(COOKIE, 24, cookie[:8])], "the only option")
    return rcode, answers, options[0][1]


def kind_of(daemon, cookie):
    """What the server takes a cookie for, by its counters."""
    before = daemon.counters()
    ask_cookie(daemon, cookie)

    def moved():
        after = daemon.counters()
        return [name for name in after if name.startswith("cookie_") and after[name] != before[name]]
    return wait_until(moved, "a counter of cookies")


def dig(daemon, *words):
    status, text = run([need_program("dig"), "-r", "-p", str(daemon.addr[1]), f"@{daemon.addr[0]}", *words])
    check_equal(status, 0, f"status of dig {' '.join(words)}:\n{text}")
    return text


def test_cookies(case, daemon):
    """One is given to who asks, taken back as valid, over each transport; a wrong one costs nothing but a new one."""
    rcode, answers, cookie = ask_cookie(daemon)
    check_equal((rcode, answers, cookie[8:12]), ("NOERROR", 1, b"\1\0\0\0"), "with a client cookie alone")
    for transport in (UDP, TCP):
        check_equal(ask_cookie(daemon, cookie, transport), ("NOERROR", 1, cookie), f"the cookie again over {transport}")
    check_equal(kind_of(daemon, cookie), ["cookie_valid"], "kind")
    check_equal(kind_of(daemon, CLIENT), ["cookie_client"], "kind")
    check_equal(kind_of(daemon, cookie[:-1] + bytes([cookie[-1] ^ 1])), ["cookie_invalid"], "kind of a forged one")
    rcode, answers, other = ask_cookie(daemon, cookie, source="127.0.0.2")
    check((rcode, answers) == ("NOERROR", 1) and other != cookie, "from another address: answered, with another cookie")
    for length in (0, 7, 9, 15, 41):
        check_equal(ask(daemon, [(COOKIE, bytes(length))]), ("FORMERR", 0, []), f"a cookie of {length} bytes")


def test_no_question(case, daemon):
    """RFC 7873 section 5.4: without a question, for the cookie alone."""
    def cookie_only(cookie):
        wire = struct.pack(">HHHHHH", 77, 0, 0, 0, 0, 1) + b"\0" + struct.pack(">HHIH", 41, 1232, 0, 4 + len(cookie))
        wire += struct.pack(">HH", COOKIE, len(cookie)) + cookie
        message = dns.message.from_wire(exchange_udp(daemon.addr, wire))
        check_equal((message.id, message.question, message.answer), (77, [], []), "id and sections")
        return dns.rcode.to_text(message.rcode()), options_of(message)
    cookie = ask_cookie(daemon)[2]
    check_equal(cookie_only(cookie), ("NOERROR", [(COOKIE, cookie)]), "with a valid one")
    rcode, options = cookie_only(CLIENT)
    check_equal((rcode, len(options), len(options[0][1])), ("NOERROR", 1, 24), "with that of a client")
    check_equal(cookie_only(CLIENT + bytes(16))[0], "BADCOOKIE", "with a wrong one")
    check("status: NOERROR" in dig(daemon, "+cookie", "+header-only", "."), "dig +header-only")


def test_required(case, _):
    """cookies = "require": over UDP who knows cookies needs one, and dig gets it; others are answered as before."""
    daemon = case.daemon(make_site(case, 'cookies = "require";'))
    rcode, answers, cookie = ask_cookie(daemon)
    check_equal((rcode, answers), ("BADCOOKIE", 0), "with a client cookie alone")
    check_equal(ask_cookie(daemon, cookie), ("NOERROR", 1, cookie), "and then")
    check_equal(ask_cookie(daemon, transport=TCP)[:2], ("NOERROR", 1), "over TCP")
    check_equal(ask(daemon, []), ("NOERROR", 1, []), "without a cookie")
    text = dig(daemon, "+cookie", "+nobadcookie", "www.clamav.test")
    check("status: BADCOOKIE" in text, text)
    text = dig(daemon, "+cookie", "www.clamav.test")
    check("status: NOERROR" in text and "192.0.2.250" in text, text)
    check(daemon.counters()["badcookie"] >= 3, "badcookie is counted")


def test_off(case, _):
    """cookies = "off": as if nobody had heard of them."""
    daemon = case.daemon(make_site(case, 'cookies = "off";'))
    check_equal(ask(daemon, [(COOKIE, CLIENT)]), ("NOERROR", 1, []), "a client cookie")
    check("COOKIE" not in re.sub(r"^; <<>>.*", "", dig(daemon, "+cookie", "www.clamav.test"), flags=re.M), "dig +cookie")


def test_nsid(case, daemon):
    """RFC 5001: the id of the configuration, when asked for; not when there is none."""
    for transport in (UDP, TCP):
        for data in (b"", b"something"):
            check_equal(ask(daemon, [(NSID, data)], transport), ("NOERROR", 1, [(NSID, b"node-1.example")]), f"NSID {data}")
    check_equal(ask(daemon, []), ("NOERROR", 1, []), "nothing asked for")
    check("(\"node-1.example\")" in dig(daemon, "+nsid", "www.clamav.test"), "dig +nsid")
    quiet = make_site(case)
    with open(quiet.path) as file:
        quiet.write("dnsd.conf", file.read().replace('id = "node-1.example"', 'id = ""'))
    check_equal(ask(case.daemon(quiet), [(NSID, b"")]), ("NOERROR", 1, []), "NSID of nobody")


def test_keepalive(case, daemon):
    """RFC 7828: over TCP the idle limit, which a reload changes; over UDP nothing."""
    check_equal(ask(daemon, [(KEEPALIVE, b"")], TCP), ("NOERROR", 1, [(KEEPALIVE, struct.pack(">H", 70))]), "over TCP")
    check_equal(ask(daemon, [(KEEPALIVE, b"\0\1")], TCP), ("FORMERR", 0, []), "with a limit of its own")
    for data in (b"", b"\0\1"):
        check_equal(ask(daemon, [(KEEPALIVE, data)]), ("NOERROR", 1, []), "over UDP")
    check("TCP KEEPALIVE: 7.0 secs" in re.sub("TCP.KEEPALIVE", "TCP KEEPALIVE", dig(daemon, "+tcp", "+keepalive", "www.clamav.test")),
          "dig +keepalive")
    site = make_site(case, 'tcp-idle = "7s";')
    other = case.daemon(site)
    with open(site.path) as file:
        site.write("dnsd.conf", file.read().replace('"7s"', '"2m"'))
    other.reload()
    check_equal(ask(other, [(KEEPALIVE, b"")], TCP)[2], [(KEEPALIVE, struct.pack(">H", 1200))], "after a reload")


def test_keepalive_pressed(case, _):
    """RFC 7828 3.3.2: told is what is applied: less and less as places fill up, 0 when all are taken, and more again."""
    site = case.site().pool_site(MIRRORS, workers=1, server='tcp-idle = "61s"; tcp-clients = 8;')
    daemon = case.daemon(site)
    query = make_query("www.clamav.test", "A")
    query.use_edns(0, 0, 1232, options=[dns.edns.GenericOption(KEEPALIVE, b"")])
    wire = query.to_wire()

    def told(tcp):
        tcp.send(wire)
        return struct.unpack(">H", dict(options_of(parse_answer(wire, tcp.receive())))[KEEPALIVE])[0] / 10

    def attempt():
        """None when it took so long that with all places taken the first may have been sent away as idle."""
        begin = time.monotonic()
        with contextlib.ExitStack() as stack:
            clients, got = [], []
            try:
                for _ in range(8):
                    clients.append(stack.enter_context(Tcp(daemon.addr)))
                    got.append(told(clients[-1]))
                got.append(told(clients[0]))
            except (EOFError, ConnectionError):
                check(time.monotonic() - begin > 0.9, f"an end after {got}")
            if time.monotonic() - begin < 0.9:
                check_equal(got, [61, 61, 61, 61, 46, 31, 16, 0, 0], "seconds told with one to eight connections, then to the first")
                for tcp in clients[1:]:
                    tcp.sock.close()
                wait_until(lambda: daemon.counters()["tcp_open"] == 1, "the others are closed")
                check_equal(told(clients[0]), 61, "seconds told when there is room")
                return True
        wait_until(lambda: daemon.counters()["tcp_open"] == 0, "all are closed")
        return None
    wait_until(attempt, "a second in which the machine lets eight clients ask", 3 * DEADLINE_S)


def test_padding(case, daemon):
    """RFC 7830: not where it hides nothing."""
    for transport in (UDP, TCP):
        check_equal(ask(daemon, [(PADDING, bytes(20))], transport), ("NOERROR", 1, []), f"over {transport}")


def test_all(case, daemon):
    """Everything at once, and what nobody knows; a small answer stays small."""
    options = [(NSID, b""), (65001, b"?"), (KEEPALIVE, b""), (COOKIE, CLIENT), (19, b"")]
    rcode, answers, got = ask(daemon, options, TCP)
    check_equal((rcode, answers, sorted(code for code, _ in got)), ("NOERROR", 1, [NSID, COOKIE, KEEPALIVE, 19]), "over TCP")
    for size in (512, 600, 1232):
        query = make_query("db.de.big.clamav.test", "A", edns=size)
        query.use_edns(0, 0, size, options=[dns.edns.GenericOption(code, data) for code, data in options])
        wire = query.to_wire()
        check_equal(len(parse_answer(wire, exchange_udp(daemon.addr, wire), size).options), 3, f"options in {size} bytes")


# --- secrets ---

def with_secrets(site, *secrets):
    site.write("secrets", "# newest first\n" + "".join(secret + "\n" for secret in secrets))
    os.chmod(site.file("secrets"), 0o640)
    return site


def shared(case, *secrets):
    return with_secrets(make_site(case, 'cookies = "require"; cookie-secret-file = "secrets";'), *secrets)


def test_fleet_rolls(case, _):
    """Two servers change their secret, one after the other (RFC 9018 section 5): no client sees BADCOOKIE."""
    sites = [shared(case, SECRETS[0]) for _ in range(2)]
    first, second = (case.daemon(site) for site in sites)
    cookie = ask_cookie(first)[2]
    check_equal(ask_cookie(second, cookie), ("NOERROR", 1, cookie), "a cookie of the other")

    # What the file says next: the new one is accepted before it is used, and the old one after.
    for secrets in ((SECRETS[0], SECRETS[1]), (SECRETS[1], SECRETS[0]), (SECRETS[1],)):
        for site, daemon in zip(sites, (first, second)):
            with_secrets(site, *secrets)
            daemon.reload()
            for asked in (first, second, first):
                rcode, answers, cookie = ask_cookie(asked, cookie)
                check_equal((rcode, answers), ("NOERROR", 1), f"while {secrets} come to {daemon.addr}")
    old = ask_cookie(case.daemon(shared(case, SECRETS[0])))[2]
    for daemon in (first, second):
        check_equal(ask_cookie(daemon, old)[:2], ("BADCOOKIE", 0), "a cookie of the secret that is gone")
        check_equal(kind_of(daemon, cookie), ["cookie_valid"], "the last one")


def test_bad_secrets(case, _):
    """Each mistake by its line, no secret in the log, and what was in force stays so."""
    site = shared(case, SECRETS[0])
    daemon = case.daemon(site)
    cookie = ask_cookie(daemon)[2]
    with_secrets(site, SECRETS[1], SECRETS[1][:-2], SECRETS[1][:-1] + "x", SECRETS[1])
    lines = "\n".join(daemon.reload(fails=True))
    for line, want in ((3, "a cookie secret is 32 hex digits, but 30 bytes stand here"), (4, "something else is in it"),
                       (5, "stands further up too")):
        check(f"secrets:{line}: " in lines and want in lines, f"no word of {want!r}:\n{lines}")
    check(SECRETS[1][:20] not in lines, f"a secret is in the log:\n{lines}")
    os.unlink(site.file("secrets"))
    check("cannot read the cookie secrets: No such file" in "\n".join(daemon.reload(fails=True)), "no word of the file")
    check_equal(ask_cookie(daemon, cookie), ("NOERROR", 1, cookie), "a cookie of the secret in force")
    status, text = run([DNSD, "-c", site.path, "-t"])
    check(status == 1 and "cannot read the cookie secrets" in text, f"dnsd -t: {status}\n{text}")
    os.chmod(with_secrets(site, SECRETS[0]).file("secrets"), 0o644)
    status, text = run([DNSD, "-c", site.path, "-t"])
    check(status == 0 and "every user of this machine can read" in text, f"dnsd -t: {status}\n{text}")
    site = make_site(case, 'cookies = "demand";')
    status, text = run([DNSD, "-c", site.path, "-t"])
    check(status == 1 and 'is none of "on", "off" and "require"' in text, f"dnsd -t: {status}\n{text}")


def test_random_secret(case, daemon):
    """Without a file: one of its own, which a reload keeps and another process has not."""
    site = make_site(case)
    other = case.daemon(site)
    cookie = ask_cookie(other)[2]
    other.reload()
    check_equal(kind_of(other, cookie), ["cookie_valid"], "after a reload")
    check_equal(kind_of(daemon, cookie), ["cookie_invalid"], "at another server")
    with open(site.path) as file:
        text = file.read()
    with_secrets(site, SECRETS[2]).write("dnsd.conf", text.replace("server: {", 'server: { cookie-secret-file = "secrets";'))
    other.reload()
    check_equal(kind_of(other, cookie), ["cookie_invalid"], "once a file has the secret")
    check_equal(kind_of(other, ask_cookie(other)[2]), ["cookie_valid"], "by the file")
    site.write("dnsd.conf", text)
    cookie = ask_cookie(other)[2]
    other.reload()
    check_equal(kind_of(other, cookie), ["cookie_invalid"], "of a file that is no longer named")
