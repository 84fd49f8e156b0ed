"""SIGHUP: what is right is taken over, what is wrong changes nothing and is told with file and line."""
import os
import re
import shutil
import signal
import time

from harness import (POOL_NAMES, TCP, UDP, ZONE_TEXT, Tcp, addresses, ask, check, check_equal, check_negative, check_rcode, ecs_of,
                     exchange_udp, geo_file, is_sanitized, make_query, mirrors_text, parse_answer, wait_until)

MIRRORS = [("m1.de.example", "DE", ["192.0.2.1"]), ("m1.fr.example", "FR", ["192.0.2.2"])]


def setup(case):
    """No daemon in common: each test changes files."""


def start(case, **keywords):
    site = case.site().pool_site(MIRRORS, **keywords)
    daemon = case.daemon(site)
    daemon.site = site
    return daemon


def unchanged(daemon):
    """Everything is as it was at the start."""
    check_equal(addresses(ask(daemon, "www.clamav.test")), ["192.0.2.250"], "www")
    check_equal(addresses(ask(daemon, "db.de.clamav.test")), ["192.0.2.1"], "db.de")
    check_equal(addresses(ask(daemon, "db.local.clamav.test", ecs="192.0.2.200/32")), ["192.0.2.1"], "db.local from DE")


def refused(daemon, place, words=""):
    """The reload fails, names this place (file, or file:line), and changes nothing."""
    lines = daemon.reload(fails=True)
    file, _, line = place.partition(":")
    where = re.escape(daemon.site.file(file)) + (f":{line}:" if line else r"(:\d+)?:")
    check(any(re.search(where + ".*" + words, text) for text in lines),
          f"no word of {place} {words}:\n    " + "\n    ".join(lines))
    unchanged(daemon)
    return lines


def test_nothing_changed(case, daemon):
    """A reload with nothing changed: the same bytes, the next generation."""
    daemon = start(case)
    names = [("www", "A"), ("no", "A"), ("db.de", "A"), ("db.de", "AAAA"), ("clamav", "SOA")]
    before = [ask(daemon, f"{n}.clamav.test", t).raw[2:] for n, t in names]
    lines = daemon.reload()
    check(any("generation=2" in line for line in lines), "generation in the log")
    check_equal([ask(daemon, f"{n}.clamav.test", t).raw[2:] for n, t in names], before, "answers")


def test_zone(case, daemon):
    """A changed zone file is served from the reload on, not before."""
    daemon = start(case)
    daemon.site.write("clamav.zone", ZONE_TEXT.replace("192.0.2.250", "192.0.2.249") + "new	A	192.0.2.248\n")
    check_equal(addresses(ask(daemon, "www.clamav.test")), ["192.0.2.250"], "www before")
    daemon.reload()
    check_equal(addresses(ask(daemon, "www.clamav.test")), ["192.0.2.249"], "www after")
    check_equal(addresses(ask(daemon, "new.clamav.test")), ["192.0.2.248"], "new after")


def test_zones_come_and_go(case, daemon):
    """Zones added and removed."""
    daemon = start(case)
    site = daemon.site
    check_rcode(ask(daemon, "www.second.test"), "REFUSED", aa=False)
    site.conf([site.zone(), site.zone("second.test", "clamav.zone")])
    daemon.reload()
    check_equal(addresses(ask(daemon, "www.second.test")), ["192.0.2.250"], "www in the new zone")
    check_negative(ask(daemon, "db.de.clamav.test"), "NXDOMAIN", "clamav.test.", 300)
    site.conf([site.zone("second.test", "clamav.zone")])
    daemon.reload()
    check_rcode(ask(daemon, "www.clamav.test"), "REFUSED", aa=False)


def test_mirrors(case, daemon):
    """Mirrors that come, go, and move to another country."""
    daemon = start(case)
    daemon.site.write("mirrors.conf", mirrors_text([("m1.de.example", "DE", ["192.0.2.3"]), ("m1.fr.example", "JP", ["192.0.2.2"])]))
    daemon.reload()
    check_equal(addresses(ask(daemon, "db.de.clamav.test")), ["192.0.2.3"], "db.de")
    check_equal(addresses(ask(daemon, "db.jp.clamav.test")), ["192.0.2.2"], "db.jp")
    check_equal(sorted(addresses(ask(daemon, "db.fr.clamav.test"))), ["192.0.2.2", "192.0.2.3"], "db.fr: the world")


def test_pool_settings(case, daemon):
    """TTL and max-answers of the pool, EDNS size of the server."""
    daemon = start(case)
    site = daemon.site
    site.conf([site.zone(pools=POOL_NAMES)], [site.pool(ttl='"1m"', max_answers=1)], server="edns-size = 1000;")
    daemon.reload()
    answer = ask(daemon, "database.clamav.test", edns=4096)
    check_equal((len(addresses(answer)), answer.answer[0].ttl, answer.payload), (1, 60, 1000), "answers, TTL, EDNS size")


def test_broken_zone(case, daemon):
    """A zone file with a mistake."""
    daemon = start(case)
    daemon.site.write("clamav.zone", ZONE_TEXT + "bad	A	192.0.2.999\n")
    refused(daemon, "clamav.zone:6")
    daemon.site.write("clamav.zone", ZONE_TEXT.replace("SOA", "TXT", 1))
    refused(daemon, "clamav.zone", "SOA")
    os.remove(daemon.site.file("clamav.zone"))
    daemon.reload(fails=True)
    unchanged(daemon)
    daemon.site.write("clamav.zone", ZONE_TEXT + "good	A	192.0.2.99\n")
    daemon.reload()
    check_equal(addresses(ask(daemon, "good.clamav.test")), ["192.0.2.99"], "after it was mended")


def test_broken_conf(case, daemon):
    """A configuration with a mistake, a syntax error, and none at all."""
    daemon = start(case)
    with open(daemon.site.path) as file:
        good = file.read()
    daemon.site.write("dnsd.conf", good.replace("workers", "wrokers"))
    refused(daemon, "dnsd.conf:1", "wrokers.*workers")
    daemon.site.write("dnsd.conf", good + "server {\n")
    refused(daemon, "dnsd.conf")
    os.remove(daemon.site.path)
    daemon.reload(fails=True)
    unchanged(daemon)
    daemon.site.write("dnsd.conf", good)
    daemon.reload()


def test_broken_mirrors(case, daemon):
    """Mirrors with an unknown country, an address used twice, weight 0; all at once, all told."""
    daemon = start(case)
    daemon.site.write("mirrors.conf", mirrors_text([("a.example", "XX", ["192.0.2.1"]), ("b.example", "DE", ["192.0.2.1"]),
                                                   ("c.example", "DE", ["192.0.2.9"], 0)]))
    lines = refused(daemon, "mirrors.conf:2", "XX")
    for line in (3, 4):
        check(any(f"mirrors.conf:{line}:" in text for text in lines), f"no word of line {line}:\n" + "\n".join(lines))


def damaged_databases(path):
    """(what, bytes) of a database that must be refused."""
    with open(path, "rb") as file:
        good = file.read()
    yield "empty", b""
    yield "truncated to a half", good[:len(good) // 2]
    yield "truncated by a byte", good[:-1]
    yield "without its search tree", good[200:]
    yield "text", b"192.0.2.0/24 DE\n" * 100
    yield "an archive", b"\x1f\x8b\x08" + bytes(5000)
    mark = good.rindex(b"\xab\xcd\xefMaxMind.com")
    yield "without metadata", good[:mark]
    yield "without country codes", re.sub(rb"iso_code", b"iso_xxxx", good)


def test_broken_geo(case, daemon):
    """A damaged database: the old table stays, the rest is reloaded. Renamed into place by the writer, as it should be."""
    site = case.site()
    shutil.copy(geo_file(), site.file("geo.mmdb"))
    site.pool_site(MIRRORS, geo='database = "geo.mmdb";')
    daemon = case.daemon(site)
    daemon.site = site
    for what, data in damaged_databases(geo_file()):
        site.write("geo.mmdb", data)
        lines = daemon.reload()
        check(any("geo.mmdb: refused" in line for line in lines), f"{what}: the log does not name it:\n" + "\n".join(lines))
        unchanged(daemon)
    os.remove(site.file("geo.mmdb"))
    daemon.reload()
    unchanged(daemon)


def test_flipped_geo(case, daemon):
    """Bits flipped anywhere: refused or served, never a crash, and never an answer without addresses."""
    site = case.site()
    with open(geo_file(), "rb") as file:
        good = file.read()
    site.write("geo.mmdb", good)
    site.pool_site(MIRRORS, geo='database = "geo.mmdb";')
    daemon = case.daemon(site)
    taken = 0
    for _ in range(40):
        data = bytearray(good)
        for _ in range(case.random.randint(1, 8)):
            data[case.random.randrange(len(data))] ^= 1 << case.random.randrange(8)
        site.write("geo.mmdb", bytes(data))
        mark = daemon.log.mark()
        daemon.send_signal(signal.SIGHUP)
        taken += daemon.log.wait(r"\b(reloaded|reload failed)\b", mark)[1] == "reloaded"
        for subnet in ("192.0.2.200/32", "5.1.2.0/24", "2001:db8:2::/48", "2400:4000::/32"):
            check(addresses(ask(daemon, "db.local.clamav.test", ecs=subnet)), "an answer without addresses")
    site.write("geo.mmdb", good)
    daemon.reload()
    check_equal(addresses(ask(daemon, "db.local.clamav.test", ecs="192.0.2.200/32")), ["192.0.2.1"], "with the good one again")


def test_geo_in_place(case, daemon):
    """A database rewritten in place, the wrong way: no SIGBUS, since the daemon keeps its own copy."""
    site = case.site()
    shutil.copy(geo_file(), site.file("geo.mmdb"))
    site.pool_site(MIRRORS, geo='database = "geo.mmdb";')
    daemon = case.daemon(site)
    daemon.site = site
    with open(site.file("geo.mmdb"), "r+b") as file:
        file.truncate(0)
    for i in range(200):
        ask(daemon, "db.local.clamav.test", ecs=f"{i}.2.3.0/24")
    unchanged(daemon)


def test_new_geo(case, daemon):
    """Another database, in use after the reload, with its scopes."""
    site = case.site()
    shutil.copy(geo_file(), site.file("geo.mmdb"))
    site.pool_site(MIRRORS, geo='database = "geo.mmdb";')
    daemon = case.daemon(site)
    check_equal(addresses(ask(daemon, "db.local.clamav.test", ecs="192.0.2.200/32")), ["192.0.2.1"], "before")
    site.conf([site.zone(pools=POOL_NAMES)], [site.pool()],
              geo='database = "geo.mmdb"; nets = ( { net = "192.0.2.192/26"; country = "FR"; } );')
    daemon.reload()
    answer = ask(daemon, "db.local.clamav.test", ecs="192.0.2.200/32")
    check_equal((addresses(answer), ecs_of(answer)[2]), (["192.0.2.2"], 26), "after")


def test_listeners(case, daemon):
    """Addresses come and go; those that stay lose nothing, and their TCP connections live on."""
    daemon = start(case, listen=("127.0.0.1@0", "127.0.0.2@0"))
    site = daemon.site
    first, second = daemon.listeners
    names = POOL_NAMES
    with Tcp(first) as tcp, Tcp(second) as other_tcp:
        mark = daemon.log.mark()
        site.conf([site.zone(pools=names)], [site.pool()], listen=("127.0.0.1@0", "127.0.0.3@0"))
        daemon.reload()
        new = wait_until(lambda: daemon.listening(mark), "a line about the new listener")
        check_equal([host for host, _ in new], ["127.0.0.3"], "new listeners")
        for transport in (UDP, TCP):
            check_rcode(ask(daemon, "www.clamav.test", server=first, transport=transport), "NOERROR")
            check_rcode(ask(daemon, "www.clamav.test", server=new[0], transport=transport), "NOERROR")

        def is_gone():
            try:
                return exchange_udp(second, make_query("www.clamav.test", "A").to_wire(), deadline_s=0.2) is None
            except ConnectionRefusedError:
                return True
        wait_until(is_gone, "the old listener is closed")
        check(any("no longer listening on 127.0.0.2" in line for line in daemon.log.lines), "no word of it in the log")
        query = make_query("www.clamav.test", "A").to_wire()
        for connection in (tcp, other_tcp):
            connection.send(query)
            check_rcode(parse_answer(query, connection.receive()), "NOERROR")


def test_listener_taken(case, daemon):
    """A listener that can't be had: the reload fails as a whole."""
    daemon = start(case)
    site = daemon.site
    taken = case.daemon(case.site().pool_site(MIRRORS, workers=1))
    with open(site.path) as file:
        good = file.read()
    # An address of no interface here.
    site.write("dnsd.conf", good.replace('"127.0.0.1@0"', '"127.0.0.1@0", "203.0.113.77@5300"'))
    refused(daemon, "dnsd.conf:1", "203.0.113.77")
    site.write("dnsd.conf", good)
    daemon.reload()
    check_rcode(ask(taken, "www.clamav.test"), "NOERROR")


def test_tcp_survives(case, daemon):
    """A TCP connection lives through reloads and sees the new data."""
    daemon = start(case)
    query = make_query("www.clamav.test", "A").to_wire()
    with Tcp(daemon.addr) as tcp:
        for i in range(20):
            daemon.site.write("clamav.zone", ZONE_TEXT.replace("192.0.2.250", f"192.0.2.{100 + i}"))
            daemon.reload()
            tcp.send(query)
            check_equal(addresses(parse_answer(query, tcp.receive())), [f"192.0.2.{100 + i}"], "www")


def test_conf_d(case, daemon):
    """conf.d beside the configuration: more zones in more files."""
    daemon = start(case)
    daemon.site.write("conf.d/second.conf", 'zones = ( { name = "second.test"; file = "../clamav.zone"; } );\n')
    daemon.reload()
    check_equal(addresses(ask(daemon, "www.second.test")), ["192.0.2.250"], "zone from conf.d")
    daemon.site.write("conf.d/third.conf", 'zones = ( { name = "second.test"; file = "../clamav.zone"; } );\n')
    refused(daemon, "conf.d/third.conf:1", "second.test")


def test_many_at_once(case, daemon):
    """SIGHUPs faster than reloads: the last state wins."""
    daemon = start(case)
    for i in range(100):
        daemon.site.write("clamav.zone", ZONE_TEXT.replace("192.0.2.250", f"192.0.2.{100 + i}"))
        daemon.send_signal(signal.SIGHUP)
    wait_until(lambda: addresses(ask(daemon, "www.clamav.test")) == ["192.0.2.199"], "the last state is served")


def test_stop_while_reloading(case, daemon):
    """A stop in the middle of a reload (a double free in a peer) ends well, each time."""
    for i in range(3 if is_sanitized() else 8):
        daemon = start(case, workers=2)
        for _ in range(3):
            daemon.send_signal(signal.SIGHUP)
        time.sleep(i * 0.001)  # another moment each time
        daemon.stop()
