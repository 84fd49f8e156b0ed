"""The site of the bench: dnsd gives the answers that scripts/bench_verify.py demands of it and of its peers."""
import os
import re
import sys

from harness import DNSDCTL, GEODB, TOP, check, check_equal, run

SCRIPTS = os.path.join(TOP, "scripts")
NETWORKS = 20000


def site_of(case, networks=NETWORKS, seed=1):
    site = case.site()
    status, text = run([sys.executable, os.path.join(SCRIPTS, "bench_site.py"), site.folder, "--geodb", GEODB, "--seed", str(seed),
                        "--networks", str(networks), "--port", "nsd=5353"])
    check_equal((status, text), (0, ""), "bench_site.py")
    return site


def verify(site, daemon):
    return run([sys.executable, os.path.join(SCRIPTS, "bench_verify.py"), site.folder, "--dnsctl", DNSDCTL, f"dnsd={daemon.addr[1]}"])


def read(site, name):
    with open(site.file(name)) as file:
        return file.read()


def test_files(case, _):
    """The ports asked for or free ones; as many networks as wanted, covering IPv4; the same for the same seed."""
    site = site_of(case)
    ports = dict(line.split() for line in read(site, "ports").splitlines())
    check_equal((ports["dnsd"], ports["nsd"]), ("0", "5353"), "ports")
    check("127.0.0.1@5353\n" in read(site, "nsd/nsd.conf"), "NSD's port")
    check(f"127.0.0.1@{ports['knot']}\n" in read(site, "knot/knot.conf") and f"dns_port => {ports['gdnsd']}\n" in read(site, "gdnsd/config"),
          f"the others' ports {ports}")
    networks = [line.split(",") for line in read(site, "networks").splitlines()]
    check_equal(len(networks), NETWORKS, "networks")
    end = 0
    for first, last, _ in networks:
        check_equal(int(first), end, "where a network starts")
        end = int(last) + 1
    check_equal(end, 1 << 32, "where they end")
    again, other = site_of(case), site_of(case, seed=2)
    check(read(again, "networks") == read(site, "networks") != read(other, "networks"), "the seed does not decide")


def test_answers(case, _):
    """All country pools, and 300 client subnets against the list of networks."""
    site = site_of(case)
    daemon = case.daemon(site.file("dnsd/dnsd.conf"))
    check("countries=247 " in "\n".join(daemon.log.since(0)), "countries in the log")
    status, text = verify(site, daemon)
    check_equal((status, text), (0, "the same answers from dnsd: 248 countries, 300 client subnets\n"), "bench_verify.py")


def test_verify_sees(case, _):
    """A server of other answers is found out: a pool with an address too many, networks that are not those of the list."""
    site = site_of(case)
    mirrors = read(site, "dnsd/mirrors.conf")
    site.write("dnsd/mirrors.conf", mirrors.replace("198.18.0.1", "198.18.0.9"))
    daemon = case.daemon(site.file("dnsd/dnsd.conf"))
    status, text = verify(site, daemon)
    check(status == 1 and re.search(r"dnsd: db\.ac: .*198\.18\.0\.9", text), f"{status}: {text}")
    site.write("networks", "".join(f"{line[:-2]}DE\n" for line in read(site, "networks").splitlines()))
    status, text = verify(site, daemon)
    check(status == 1 and "the list has DE" in text, f"{status}: {text}")
