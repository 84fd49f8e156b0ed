"""The shipped example, contrib/clamav.net: what an operator tries first."""
import os
import re
import shutil

from harness import (DNSD, DNSDCTL, TCP, TOP, addresses, ask, check, check_equal, check_negative, check_rcode, geo_file,
                     is_tc, records, run, text_of)


def example(case):
    """A copy with the test database, and a port of the kernel's choice."""
    site = case.site()
    for name in ("dnsd.conf", "clamav.net.zone", "mirrors.conf", "regions.conf"):
        shutil.copy(os.path.join(TOP, "contrib", "clamav.net", name), site.folder)
    with open(site.path) as file:
        text = file.read()
    text, listen_n = re.subn(r"listen = \[.*?\];", 'listen = [ "127.0.0.1@0" ];', text)
    text, geo_n = re.subn(r'database = ".*?";', f'database = "{geo_file()}"; max-age = 0;', text)
    text, control_n = re.subn(r'control = ".*?";', 'control = "control.sock";', text)
    text, state_n = re.subn(r'state-directory = ".*?";', 'state-directory = "state";', text)
    os.mkdir(site.file("state"))
    check_equal((listen_n, geo_n, control_n, state_n), (1, 1, 1, 1), "lines of this machine in the example")
    site.write("dnsd.conf", text)
    return site


def setup(case):
    site = example(case)
    daemon = case.daemon(site)
    daemon.site = site
    return daemon


def test_check(case, daemon):
    """dnsd -t and dnsdctl checkconf find it fine, without a warning."""
    for command in ([DNSD, "-t", "-c", daemon.site.path], [DNSDCTL, "-c", daemon.site.path, "checkconf"]):
        status, text = run(command)
        check_equal(status, 0, f"{command[0]} says {text}")
        check("warning" not in text, text)


def test_shape(case, daemon):
    """134 mirrors in 39 countries, on documentation addresses only."""
    with open(daemon.site.file("mirrors.conf")) as file:
        text = file.read()
    countries = re.findall(r'country = "([A-Z]{2})"', text)
    check_equal(len(countries), 134, "mirrors")
    count = {country: countries.count(country) for country in set(countries)}
    check_equal(len(count), 39, "countries")
    shape = [sorted(count.values(), reverse=True).count(n) for n in (26, 13, 9, 6, 5, 4, 3, 2, 1)]
    check_equal(shape, [1, 1, 1, 2, 2, 2, 7, 12, 11], "countries with 26, 13, 9, 6, 5, 4, 3, 2, 1 mirrors")
    found = re.findall(r'"([0-9a-f.:]+)"', text)
    found = [address for address in found if re.search(r"[.:].*[.:]", address)]
    check_equal(len(found), len(set(found)), "addresses, each once")
    wrong = [a for a in found if not a.startswith(("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:"))]
    check_equal(wrong, [], "addresses that somebody may have")


def test_version(case, daemon):
    """The TXT record, and the whole message within 512 bytes without EDNS."""
    answer = ask(daemon, "current.cvd.clamav.net", "TXT")
    check_rcode(answer, "NOERROR")
    check(re.fullmatch(r"1\.4\.3:62:27500:\d{10}:1:90:49192:335", text_of(answer)), text_of(answer))
    check_equal(records(answer.authority) + records(answer.additional), [], "other sections")


def test_countries(case, daemon):
    """A country with mirrors, one without, the nearest by client subnet, IPv6 only, the world."""
    german = addresses(ask(daemon, "db.de.clamav.net"))
    check(len(german) == 8 and all(a.startswith("198.51.100.") for a in german), f"db.de: {german}")
    zealand = addresses(ask(daemon, "db.nz.clamav.net"))
    check_equal(sorted(zealand), sorted(addresses(ask(daemon, "db.au.clamav.net"))), "db.nz, which borrows from AU")
    for subnet, country in (("192.0.2.0/24", "us"), ("198.51.100.0/24", "fr"), ("203.0.113.0/24", "jp")):
        near = set(addresses(ask(daemon, "db.local.clamav.net", ecs=subnet)))
        whole = set(addresses(ask(daemon, f"db.{country}.big.clamav.net", transport=TCP)))
        check(near and near <= whole, f"db.local of {subnet}: {near}")
    six = ask(daemon, "db.us.ipv6.clamav.net", "AAAA")
    check(addresses(six) and all(":" in a for a in addresses(six)), "db.us.ipv6")
    check_equal(len(addresses(ask(daemon, "database.clamav.net"))), 8, "addresses of database")


def test_big(case, daemon):
    """db.us.big does not fit into 512 bytes: TC, and everything over TCP."""
    small = ask(daemon, "db.us.big.clamav.net")
    check(is_tc(small), "TC of db.us.big over UDP")
    whole = ask(daemon, "db.us.big.clamav.net", transport=TCP)
    check(not is_tc(whole), "TC over TCP")
    check_equal(len(set(addresses(whole))), 32, "addresses of db.us.big")


def test_static(case, daemon):
    """The zone file's part: wildcard, delegation, DNAME, NXDOMAIN."""
    check_equal(records(ask(daemon, "any.docs.clamav.net").answer),
                [("any.docs.clamav.net.", 3600, "A", "192.0.2.250")], "wildcard")
    referral = ask(daemon, "x.mirrors.clamav.net")
    check_rcode(referral, "NOERROR", aa=False)
    check_equal(len(records(referral.authority)), 2, "NS of the delegation")
    check_equal(len(records(referral.additional)), 3, "its glue")
    kinds = [kind for _, _, kind, _ in records(ask(daemon, "a.old.clamav.net").answer)]
    check_equal(kinds, ["DNAME", "CNAME", "A"], "answer through the DNAME")
    check_negative(ask(daemon, "no-such-name.clamav.net"), "NXDOMAIN", "clamav.net.", 300)


def test_control(case, daemon):
    """The control socket answers, and what outlives a restart is kept."""
    status, text = run([DNSDCTL, "-s", daemon.site.file("control.sock"), "status"])
    check_equal(status, 0, text)
    check("no problems" in text, text)
    status, text = run([DNSDCTL, "-s", daemon.site.file("control.sock"), "mirror", "down", "clamav1.de.example",
                        "--reason", "test"])
    check_equal(status, 0, text)
    check("warning" not in text, text)
    check(os.path.exists(daemon.site.file("state/overrides.json")), "overrides.json")
    status, text = run([DNSDCTL, "-s", daemon.site.file("control.sock"), "mirror", "auto", "clamav1.de.example"])
    check_equal(status, 0, text)
