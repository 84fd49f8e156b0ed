"""dnsd -t and dnsdctl checkconf: exit status, and a message that says where, what, and what instead."""
import os
import re
import subprocess

from harness import (DEADLINE_S, DNSD, DNSDCTL, POOL_NAMES, ZONE_TEXT, Daemon, check, check_equal, cvd_file, geo_file,
                     mirrors_text, run, wait_until)
from t50_reload import damaged_databases

GOOD = [("m1.de.example", "DE", ["192.0.2.1"])]


def setup(case):
    return None


def checks(site):
    """Both programs' verdict: (status, text), which must agree."""
    status, text = run([DNSD, "-t", "-c", site.path])
    status2, text2 = run([DNSDCTL, "-c", site.path, "checkconf"])
    check_equal(status2, status, f"exit status of dnsdctl checkconf, which says:\n{text2}\nand dnsd -t:\n{text}")
    return status, text, text2


def bad(site, *wanted):
    """Exit status 1, and a line for each wanted pattern; every error line names a file. In a pattern FILE:12 is
    that line of that file."""
    status, text, text2 = checks(site)
    check_equal(status, 1, f"exit status; output:\n{text}")
    for pattern in wanted:
        full = re.sub(r"^([\w./-]+\.(conf|zone|mmdb))", lambda m: re.escape(site.file(m[1])), pattern)
        for output, who in ((text, "dnsd -t"), (text2, "dnsdctl checkconf")):
            check(re.search(full, output), f"{who} does not say /{pattern}/ but:\n{output}")


def good(site):
    status, text, _ = checks(site)
    check_equal(status, 0, f"exit status; output:\n{text}")


def mirrors_site(case, mirrors):
    site = case.site().pool_site(GOOD)
    site.write("mirrors.conf", mirrors if isinstance(mirrors, str) else mirrors_text(mirrors))
    return site


def test_good(case, _):
    """A good configuration: 0."""
    good(case.site().pool_site(GOOD))


def test_binds_nothing(case, _):
    """The check binds nothing: a port in use, an address of nobody."""
    running = case.daemon(case.site().pool_site(GOOD))
    host, port = running.addr
    good(case.site().pool_site(GOOD, listen=[f"{host}@{port}", "203.0.113.9@53"]))


def test_usage(case, _):
    """Usage errors: 2; --help and --version: 0."""
    for program in (DNSD, DNSDCTL):
        for arguments, want in ((["--help"], 0), (["--version"], 0), (["--no-such-option"], 2)):
            status, text = run([program] + arguments)
            check_equal(status, want, f"{program} {arguments}: {text}")
    status, text = run([DNSD, "--print-defaults"])
    check_equal(status, 0, "--print-defaults")
    for key in ("listen", "tcp-idle", "max-answers", "country-ipv6", "safebrowsing"):
        check(key in text, f"--print-defaults has no {key}")
    with open("/dev/full", "w") as full:
        done = subprocess.run([DNSD, "--print-defaults"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    check(done.returncode == 1 and "No space left on device" in done.stderr, f"--print-defaults that can't be written: {done}")
    status, text = run([DNSDCTL, "-c", "/nonexistent/dnsd.conf", "checkconf"])
    check_equal(status, 1, f"a missing file: {text}")
    check("/nonexistent/dnsd.conf" in text, text)


def test_mirror_country(case, _):
    """A mirror in no country."""
    for code in ("XX", "DEU", "D", "", "12"):
        bad(mirrors_site(case, GOOD + [("m2.example", code, ["192.0.2.2"])]), r"mirrors.conf:3:.*country")


def test_mirror_address_twice(case, _):
    """The same address in two mirrors, and in one; in another spelling."""
    bad(mirrors_site(case, GOOD + [("m2.example", "FR", ["192.0.2.9", "192.0.2.1"])]), r"mirrors.conf:3:.*192\.0\.2\.1")
    bad(mirrors_site(case, [("m1.example", "FR", ["192.0.2.9", "192.0.2.9"])]), r"mirrors.conf:2:.*192\.0\.2\.9")
    bad(mirrors_site(case, [("m1.example", "FR", ["2001:db8::1"]), ("m2.example", "FR", ["2001:DB8:0::0:1"])]),
        r"mirrors.conf:3:.*2001:db8::1")


def test_mirror_unicast(case, _):
    """Addresses that no client can reach."""
    for address in ("224.0.0.1", "0.0.0.0", "127.0.0.1", "255.255.255.255", "240.1.2.3", "169.254.1.1", "::", "::1",
                    "ff02::1", "fe80::1", "::ffff:192.0.2.1"):
        bad(mirrors_site(case, GOOD + [("m2.example", "FR", [address])]), r"mirrors.conf:3:.*" + re.escape(address))


def test_mirror_address_form(case, _):
    """What is no address at all."""
    for address in ("192.0.2", "192.0.2.256", "192.0.2.1/32", "m.example", "2001:db8:::1", ""):
        bad(mirrors_site(case, GOOD + [("m2.example", "FR", [address])]), r"mirrors.conf:3:.*address")
    bad(mirrors_site(case, GOOD + [("m2.example", "FR", [])]), r"mirrors.conf:3:.*address")


def test_mirror_weight(case, _):
    """Weights under 1."""
    for weight in (0, -1, -100):
        bad(mirrors_site(case, GOOD + [("m2.example", "FR", ["192.0.2.2"], weight)]), r"mirrors.conf:3:.*weight")
    bad(mirrors_site(case, GOOD + [("m2.example", "FR", ["192.0.2.2"], '"heavy"')]), r"mirrors.conf:3:.*weight")


def test_all_errors(case, _):
    """All mistakes of a file in one run."""
    bad(mirrors_site(case, [("a.example", "XX", ["192.0.2.1"]), ("b.example", "DE", ["192.0.2.1"]),
                            ("c.example", "DE", ["224.0.0.1"]), ("d.example", "DE", ["192.0.2.4"], 0)]),
        r"mirrors.conf:2:.*XX", r"mirrors.conf:3:.*192\.0\.2\.1", r"mirrors.conf:4:.*224\.0\.0\.1", r"mirrors.conf:5:.*weight")


def test_mirrors_missing(case, _):
    """No mirrors, no file, a key that is missing."""
    site = case.site().pool_site(GOOD)
    os.remove(site.file("mirrors.conf"))
    bad(site, r"mirrors\.conf")
    bad(mirrors_site(case, 'mirrors = ( { host = "a.example"; country = "DE"; } );\n'), r"mirrors.conf:1:.*addresses")
    bad(mirrors_site(case, 'mirrors = ( { addresses = [ "192.0.2.1" ]; country = "DE"; } );\n'), r"mirrors.conf:1:.*host")


def test_unknown_key(case, _):
    """An unknown key is refused with its line, and the key that was meant."""
    site = case.site().pool_site(GOOD)
    with open(site.path) as file:
        text = file.read()
    for line, key, wrong in ((1, "workers", "wrokers"), (1, "listen", "listne"), (2, "database", "databse")):
        site.write("dnsd.conf", text.replace(f"{key} =", f"{wrong} =", 1))
        bad(site, rf'dnsd.conf:{line}:.*"{wrong}".*"{key}"')
    site.write("dnsd.conf", text.replace("max-answers", "max_answers"))
    bad(site, r'dnsd.conf:\d+:.*"max_answers".*"max-answers"')
    site.write("dnsd.conf", text + "colour = 1;\n")
    bad(site, r"dnsd.conf:\d+:.*colour")
    bad(mirrors_site(case, 'mirrors = ( { host = "a.example"; contry = "DE"; addresses = [ "192.0.2.1" ]; } );\n'),
        r'mirrors.conf:1:.*"contry".*"country"')


def test_values(case, _):
    """Values of the wrong type or out of range."""
    for server in ('workers = "two";', "workers = -1;", "workers = 100000;", "edns-size = 100;", "edns-size = 65535;",
                   'tcp-idle = "soon";', 'tcp-idle = "10 parsecs";', "tcp-clients = 0;"):
        site = case.site().pool_site(GOOD, server=server)
        with open(site.path) as file:
            text = file.read()
        if server.startswith("workers"):
            site.write("dnsd.conf", text.replace("workers = 0;", "", 1))
        bad(site, rf"dnsd.conf:1:.*{server.split()[0]}")
    for listen in ("127.0.0.1:53", "localhost@53", "127.0.0.1@65536", "127.0.0.1@dns", "300.0.0.1@53", ""):
        bad(case.site().pool_site(GOOD, listen=[listen]), r"dnsd.conf:1:.*listen|dnsd.conf:1:.*address")
    for pool in ({"ttl": '"-5m"'}, {"max_answers": 0}, {"min_mirrors": '"x"'}, {"ttl": '"10 parsecs"'}):
        bad(case.site().pool_site(GOOD, pool=pool), r"dnsd.conf:\d+:.*" + list(pool)[0].replace("_", "-"))
    for net in ('{ net = "10.0.0.1/8"; country = "DE"; }', '{ net = "10.0.0.0/33"; country = "DE"; }',
                '{ net = "10.0.0.0/8"; country = "Germany"; }', '{ net = "10.0.0.0/8"; }'):
        bad(case.site().pool_site(GOOD, geo=f'database = "{geo_file()}"; nets = ( {net} );'), r"dnsd.conf:2:")


def test_syntax(case, _):
    """Syntax errors, with their line; a trailing comma, which this version of libconfig does not take."""
    site = case.site().pool_site(GOOD)
    with open(site.path) as file:
        text = file.read()
    site.write("dnsd.conf", text + "\nserver: {\n")
    bad(site, r"dnsd.conf:\d+:")
    for broken in ('mirrors = ( { host = "a"; country = "DE"; addresses = [ "192.0.2.1", ]; } );',
                   'mirrors = ( { host = "a"; country = "DE"; addresses = [ "192.0.2.1" ]; }, );'):
        bad(mirrors_site(case, broken + "\n"), r"mirrors.conf:1:.*comma")
    site.write("dnsd.conf", b"?" + case.random.randbytes(3000))
    bad(site, r"dnsd.conf(:\d+)?:")
    site.write("dnsd.conf", "")
    status, text, _ = checks(site)
    check(status in (0, 1), text)


def test_references(case, _):
    """Names that lead nowhere: a pool, a zone file, a regions file."""
    site = case.site().pool_site(GOOD)
    with open(site.path) as file:
        text = file.read()
    site.write("dnsd.conf", text.replace('pool = "clamav"', 'pool = "clamaw"'))
    bad(site, r'dnsd.conf:\d+:.*clamaw')
    site.write("dnsd.conf", text.replace('file = "clamav.zone"', 'file = "nowhere.zone"'))
    bad(site, r"nowhere\.zone")
    site.write("dnsd.conf", text.replace('regions = "regions.conf"', 'regions = "nowhere.conf"'))
    bad(site, r"nowhere\.conf")
    site.write("dnsd.conf", text)
    good(site)


def test_regions(case, _):
    """Regions and neighbours with countries that don't exist or stand twice."""
    for regions, wanted in (
            ('regions = ( { name = "a"; countries = [ "DE", "XX" ]; } );', r"regions.conf:1:.*XX"),
            ('regions = ( { name = "a"; countries = [ "DE" ]; },\n{ name = "b"; countries = [ "DE" ]; } );',
             r"regions.conf:2:.*DE"),
            ('neighbours = ( { country = "LI"; near = [ "YY" ]; } );', r"regions.conf:1:.*YY"),
            ('neighbours = ( { country = "LI"; near = [ "LI" ]; } );', r"regions.conf:1:.*LI"),
            ('neighbours = ( { country = "LI"; near = [ "AT" ]; },\n{ country = "li"; near = [ "CH" ]; } );',
             r"regions.conf:2:.*li")):
        bad(case.site().pool_site(GOOD, regions=regions + "\n"), wanted)


ZONES = [  # what is added, what is said
    ("bad A 192.0.2.999", r":6:"), ("bad A 192.0.2.1 192.0.2.2", r":6:"), ("bad AAAA 192.0.2.1", r":6:"),
    ("bad NOSUCHTYPE 1", r":6:"), ("bad A", r":6:"), ("bad CNAME", r":6:"), ("bad MX mail", r":6:"),
    ("@ SOA ns1 hostmaster 2 3h 30m 2w 5m", r":6:.*SOA"), ("www CNAME ns1", r":[56]:.*CNAME"),
    ("alias CNAME ns1\nalias CNAME www", r":[67]:.*CNAME"), ("www.elsewhere.example. A 192.0.2.1", r":6:.*elsewhere"),
    ("bad TXT \"no end", r":[67]:"), ("bad TXT ( \"open\"", r":[67]:"), ("$TTL soon", r":6:"), ("$ORIGIN", r":6:"),
    ("$INCLUDE nowhere.zone", r"nowhere\.zone"), ("$INCLUDE clamav.zone", r"clamav\.zone"), ("$GENERATE 1-3 a$ A 192.0.2.$", r":6:"),
    ("x" * 64 + " A 192.0.2.1", r":6:"), ((("y" * 60 + ".") * 5) + "z A 192.0.2.1", r":6:"), ("a..b A 192.0.2.1", r":6:"),
    ("bad TYPE65400 \\# 5 0102", r":6:"), ("bad TXT " + '"' + "x" * 256 + '"', r":6:"),
]


def test_zone_errors(case, _):
    """Mistakes in zone files, each with its line."""
    for added, wanted in ZONES:
        bad(case.site().pool_site(GOOD, zone_text=ZONE_TEXT + added + "\n"), wanted)
    # All of a file at once.
    bad(case.site().pool_site(GOOD, zone_text=ZONE_TEXT + "a A 1\nb A 192.0.2.1\nc A 2\nd AAAA 3\n"), ":6:", ":8:", ":9:")
    bad(case.site().pool_site(GOOD, zone_text=ZONE_TEXT.replace("@	SOA", "@	TXT")), "SOA")
    bad(case.site().pool_site(GOOD, zone_text=ZONE_TEXT.replace("@	NS", "@	TXT")), "NS")
    bad(case.site().pool_site(GOOD, zone_text=""), "SOA")


def test_zone_pool_conflict(case, _):
    """A zone file that has a name the pool makes, or hides pool names below a cut."""
    bad(case.site().pool_site(GOOD, zone_text=ZONE_TEXT + "database A 192.0.2.1\n"), r":6:.*database")
    bad(case.site().pool_site(GOOD, zone_text=ZONE_TEXT + "db.de CNAME www\n"), r":6:.*db\.de")


def test_geo_errors(case, _):
    """Databases that are none: refused by name, and quickly."""
    site = case.site().pool_site(GOOD, geo='database = "geo.mmdb";')
    for what, data in damaged_databases(geo_file()):
        site.write("geo.mmdb", data)
        bad(site, r"geo\.mmdb")
    os.remove(site.file("geo.mmdb"))
    bad(site, r"geo\.mmdb")
    os.mkdir(site.file("geo.mmdb"))
    bad(site, r"geo\.mmdb")


def test_versions(case, _):
    """Version records without numbers, with an empty directory, with a name outside the zone."""
    for versions, wanted in (
            ('{ name = "current.cvd"; software = "1.4.3"; daily = 1; bytecode = 1; }', r"dnsd.conf:\d+:.*main"),
            ('{ name = "current.cvd"; main = 1; daily = 1; bytecode = 1; }', r"dnsd.conf:\d+:.*software"),
            ('{ name = "current.cvd"; software = "1:4"; main = 1; daily = 1; bytecode = 1; }', r"dnsd.conf:\d+:.*software"),
            ('{ name = "current.cvd"; software = ""; main = 1; daily = 1; bytecode = 1; }', r"dnsd.conf:\d+:.*software"),
            ('{ name = "current.cvd"; software = "1.4.3"; directory = "cvd"; }', r"cvd")):
        site = case.site().pool_site(GOOD, versions=versions)
        os.mkdir(site.file("cvd"))
        bad(site, wanted)
    site = case.site().pool_site(GOOD, versions='{ name = "current.cvd"; software = "1.4.3"; directory = "cvd"; }')
    for name in ("main", "daily", "bytecode"):
        site.write(f"cvd/{name}.cvd", cvd_file(62))
    good(site)
    site.write("cvd/daily.cvd", b"ClamAV-VDB:short")
    status, text, _ = checks(site)
    check("daily.cvd" in text, f"no word of daily.cvd: {text}")


def start_fails(site, *wanted):
    """Exit status 1, these messages, no ready line."""
    daemon = Daemon(site.path, ready=False)
    try:
        wait_until(lambda: daemon.process.poll() is not None, "dnsd ends")
        daemon.log.thread.join(DEADLINE_S)
        check_equal(daemon.process.returncode, 1, "exit status")
        text = "\n".join(daemon.log.lines)
        for pattern in wanted:
            check(re.search(pattern, text), f"no /{pattern}/ in:\n{text}")
        check("ready" not in text and "listening on" not in text, text)
        daemon.check_log()
    finally:
        daemon.kill()


def test_start_fails(case, _):
    """The daemon itself: the same messages."""
    start_fails(mirrors_site(case, GOOD + [("m2.example", "XX", ["192.0.2.2"])]), r"mirrors\.conf:3:.*XX")


def test_start_fails_zone(case, _):
    """One bad zone beside a good one: nothing is served, and every mistake is told, of other files too."""
    site = mirrors_site(case, GOOD + [("m2.example", "XX", ["192.0.2.2"])])
    site.write("bad.zone", ZONE_TEXT + "a\tA\t192.0.2.999\nb\tAAAA\tnothing\n")
    site.conf([site.zone(pools=POOL_NAMES), site.zone("second.test", "bad.zone")], [site.pool()])
    start_fails(site, r"bad\.zone:6:", r"bad\.zone:7:", r"mirrors\.conf:3:.*XX")


def test_listen_fails(case, _):
    """An address that can't be had: named with its line, exit status 1."""
    site = case.site().pool_site(GOOD, listen=["203.0.113.77@5300"])
    daemon = Daemon(site.path, ready=False)
    try:
        wait_until(lambda: daemon.process.poll() is not None, "dnsd ends")
        daemon.log.thread.join(DEADLINE_S)
        check_equal(daemon.process.returncode, 1, "exit status")
        check(re.search(r"dnsd\.conf:1:.*203\.0\.113\.77", "\n".join(daemon.log.lines)), "\n".join(daemon.log.lines))
        daemon.check_log()
    finally:
        daemon.kill()


def test_conf_fuzz(case, _):
    """Damaged configuration and zone files: exit status 0 or 1, never a signal."""
    sources = {"dnsd.conf": None, "mirrors.conf": None, "regions.conf": None, "clamav.zone": None}
    site = case.site().pool_site(GOOD, regions='regions = ( { name = "europe"; countries = [ "DE" ]; } );\n')
    for name in sources:
        with open(site.file(name), "rb") as file:
            sources[name] = file.read()
    for i in range(60):
        name = list(sources)[i % len(sources)]
        data = bytearray(sources[name])
        for _ in range(case.random.randint(1, 5)):
            at = case.random.randrange(len(data))
            data[at:at + case.random.randint(0, 3)] = case.random.choice(
                [b"", b"(", b")", b"{", b"}", b'"', b";", b"\0", b"\n", b"\xff", b"=", b"\\", b"$", b"9" * 30, b"[ "])
        site.write(name, bytes(data))
        status, text = run([DNSD, "-t", "-c", site.path])
        check(status in (0, 1), f"exit status {status} with {name} = {bytes(data)!r}:\n{text}")
        site.write(name, sources[name])
