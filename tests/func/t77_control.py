"""dnsdctl and a running daemon: what it tells, and that what it changes is in the next answer."""
import json
import os
import pwd
import re
import select
import socket
import stat
import subprocess
import threading
import time

import dns.message

from harness import (CONTROL, DEADLINE_S, DNSDCTL, STATE, Control, Lookups, Skip, addresses, ask, check, check_equal, check_within,
                     dnsdctl, ecs_of, make_query, records, run, wait_until)

MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 5)] + [
    ("m1.at.example", "AT", ["192.0.2.21", "2001:db8::21"]),
    ("m1.us.example", "US", ["198.51.100.1"])]
REGIONS = """regions = ( { name = "europe"; countries = [ "DE", "AT", "FR" ]; } );
neighbours = ( { country = "FR"; near = [ "AT" ]; } );
"""
ZONE = """$TTL 1h
@	SOA	ns1 hostmaster 1 3h 30m 2w 5m
@	NS	ns1
ns1	A	192.0.2.251
www	A	192.0.2.250
old	CNAME	db.de
child	NS	ns.child
ns.child	A	192.0.2.240
"""
VERSIONS = '{ name = "current.cvd"; software = "1.4.3"; main = 62; daily = 27500; bytecode = 335; }'
DE = {f"192.0.2.{i}" for i in range(1, 5)}
WORKERS = 4
ROUNDS = 50


def write_site(site, **conf):
    conf = {"server": STATE, "workers": WORKERS} | conf
    return site.pool_site(MIRRORS, regions=REGIONS, zone_text=ZONE, versions=VERSIONS, **conf)


def setup(case):
    """One daemon with all kinds of names and no feed."""
    site = case.site()
    site.folder_for("state")
    daemon = case.daemon(write_site(site))
    daemon.site = site
    return daemon


class Crowd:
    """So many clients that each worker has some; asked at the same moment."""

    def __init__(self, daemon, n=40):
        self.lookups = [Lookups(daemon.addr) for _ in range(n)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for lookups in self.lookups:
            lookups.sock.close()

    def ask(self, name, rdtype="A"):
        wire = make_query(name, rdtype).to_wire()
        for lookups in self.lookups:
            lookups.sock.send(wire)
        return [dns.message.from_wire(lookups.sock.recv(65535)) for lookups in self.lookups]

    def members(self, name="db.de.clamav.test"):
        """The sets of addresses that there are."""
        return {frozenset(addresses(answer)) for answer in self.ask(name)}

    def check_members(self, want, name="db.de.clamav.test"):
        check_equal(self.members(name), {frozenset(want)}, f"members of {name}")


def members(daemon, name="db.de.clamav.test", rdtype="A"):
    return set(addresses(ask(daemon, name, rdtype)))


def utc(offset_s=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset_s))


def states(daemon):
    return {entry["mirror"]: entry["state"] for entry in daemon.ctl("pool", "show")[0]["mirrors"]}


# --- what it tells ---

def test_status(_case, daemon):
    """Every field, and no problem."""
    status = daemon.ctl("status")
    check_equal((status["pid"], status["workers"], status["zones"]), (daemon.pid, WORKERS, 1), "pid, workers, zones")
    check_equal(status["config"], daemon.site.path, "config")
    check_equal(status["state-directory"], daemon.site.file("state"), "state-directory")
    check_equal(status["problems"], [], "problems")
    check_equal(status["last-reload-ok"], True, "last-reload-ok")
    check(status["started"] <= utc() and status["started"] >= utc(-600), f"started {status['started']}")
    check(status["names"] > 200 and status["records"] > 5 and status["generation"] >= 1, f"numbers: {status}")
    check_equal([(pool["pool"], pool["mirrors"], pool["out"], pool["feed-held"]) for pool in status["pools"]],
                [("clamav", len(MIRRORS), 0, False)], "pools")
    check_equal([version["state"] for version in status["versions"]], ["fresh"], "versions")
    check(status["version"] in dnsdctl("--version").out, f"version {status['version']}")
    text = daemon.dnsdctl("status").out
    check(f"pid {daemon.pid}" in text and "no problems" in text, text)


def test_not_running(case, _):
    """Exit status 3, whether there is no socket or one that a killed daemon has left; the next one replaces it."""
    site = write_site(case.site(), server=CONTROL)
    said = dnsdctl("-s", site.file("ctl.sock"), "status")
    check_equal((said.status, said.out), (3, ""), f"without a socket: {said.err}")
    check("is dnsd running" in said.err, said.err)
    daemon = case.daemon(site)
    daemon.kill()
    check(stat.S_ISSOCK(os.stat(daemon.control).st_mode), "a socket is left")
    check("is dnsd running" in daemon.ctl_fails("status", status=3), "with a stale socket")
    check_equal(case.daemon(site).ctl("status")["problems"], [], "problems of the next one")


def test_stats(_case, daemon):
    """Counters move by exactly what was asked."""
    before = daemon.ctl("stats")
    for _ in range(7):
        ask(daemon, "db.de.clamav.test")
    for _ in range(3):
        ask(daemon, "nothing.clamav.test", transport="tcp")
    want = {"queries_udp": 7, "pool": 7, "noerror": 7, "queries_tcp": 3, "nxdomain": 3, "tcp_accepted": 3}

    def moved():
        after = daemon.ctl("stats")
        check_equal(set(after), set(before), "names of counters")
        return {name: after[name] - before[name] for name in after if after[name] != before[name]}
    wait_until(lambda: moved() == want, f"counters move by {want}, last {moved()}")
    lines = daemon.dnsdctl("stats").out.splitlines()
    check_equal([line.split()[0] for line in lines], list(before), "names in the table")


def test_explain(_case, daemon):
    """Why the answer is what it is, for each kind of name; it is the answer that is given."""
    def explain(*words):
        result = daemon.ctl("explain", *words)
        check(result.get("agrees", True), f"{words}: the explanation does not fit the answer: {result}")
        return result

    def check_kind(words, result, **want):
        got = explain(*words)
        check_equal(got["result"], result, f"explain {words}")
        check_equal({key.replace("-", "_"): got.get(key) for key in (k.replace("_", "-") for k in want)}, want, f"explain {words}")
        return got

    got = check_kind(["db.de.clamav.test"], "pool", kind="country", level="country", rcode="NOERROR", ttl=300)
    check_equal(set(got["members"]), DE, "members")
    check_equal({entry["mirror"] for entry in got["mirrors"] if entry["used"]}, {f"m{i}.de.example" for i in range(1, 5)}, "used")
    check_kind(["db.fr.clamav.test"], "pool", kind="country", level="neighbour", neighbour="AT", members=["192.0.2.21"])
    check_kind(["db.at.ipv6.clamav.test", "AAAA"], "pool", kind="country-ipv6", members=["2001:db8::21"])
    check_kind(["db.de.big.clamav.test"], "pool", kind="country-all")
    check_kind(["db.europe.clamav.test"], "pool", kind="region", level="region", asked_region="europe")
    check_kind(["database.clamav.test"], "pool", kind="world", level="world")
    got = check_kind(["db.local.clamav.test", "--from", "127.2.0.1"], "pool", kind="nearest", asked_country="DE")
    check_equal(got["client"], {"address": "127.2.0.1", "used": "address", "country": "DE", "network": "127.2.0.0/16"}, "client")
    got = check_kind(["db.local.clamav.test", "--from", "127.1.0.1", "--ecs", "192.0.2.128/25"], "pool", asked_country="DE")
    answer = ask(daemon, "db.local.clamav.test", ecs="192.0.2.128/25", source="127.1.0.1")
    check_equal((got["client"]["used"], got["scope"]), ("subnet", ecs_of(answer)[2]), "used, scope as in the answer")
    check_equal(set(got["members"]), set(addresses(answer)), "members as in the answer")
    got = check_kind(["old.clamav.test"], "pool", pool_name="db.de.clamav.test", kind="country")
    check_equal(got["answer"][0], "old.clamav.test. 3600 IN CNAME db.de.clamav.test.", "CNAME")
    check_kind(["www.clamav.test"], "zone file", rcode="NOERROR", authoritative=True, pool=None)
    check_kind(["www.clamav.test", "MX"], "no record of this type", rcode="NOERROR")
    check_kind(["nothing.clamav.test"], "no such name", rcode="NXDOMAIN")
    check_kind(["host.child.clamav.test"], "delegated to other servers", authoritative=False)
    check_kind(["www.example.org"], "in no zone of ours", rcode="REFUSED")
    check_kind(["current.cvd.clamav.test", "TXT"], "version record")
    check_equal(set(explain("WWW.Clamav.Test.")) >= {"time", "generation"}, True, "time and generation")
    text = daemon.dnsdctl("explain", "db.fr.clamav.test").out
    check("members from: neighbour AT" in text and "answer: db.fr.clamav.test." in text, text)


def test_explain_lines(_case, daemon):
    """One line of JSON for each question on standard input."""
    said = daemon.dnsdctl("explain", "-", stdin="db.de.clamav.test A 127.2.0.1\n\nwww.clamav.test\n"
                                                "db.local.clamav.test A 127.1.0.1 192.0.2.128/25\nw..w\n")
    results = [json.loads(line) for line in said.out.splitlines()]
    check_equal([result["ok"] for result in results], [True, True, True, False], "done")
    check_equal(results[2]["result"]["asked-country"], "DE", "country by the subnet")
    check_equal(said.status, 0, said.err)


SAME = (["explain", "db.de.clamav.test"], ["explain", "db.local.clamav.test", "A", "--from", "127.2.0.1", "--ecs", "5.0.0.0/16"],
        ["explain", "nothing.clamav.test"], ["explain", "old.clamav.test", "AAAA"], ["geo", "lookup", "127.2.0.9"],
        ["feed", "show"], ["query", "www.clamav.test"])


def test_offline(_case, daemon):
    """With -c: the same but for the time and the generation."""
    for words in SAME:
        live = daemon.ctl(*words)
        said = dnsdctl("--json", "-c", daemon.site.path, *words)
        check_equal(said.status, 0, said.err)
        offline = json.loads(said.out)
        for result in (live, offline):
            if words[0] == "explain":
                del result["time"]
                result.pop("generation", None)
                # The serial is the time of the last change, here of the start.
                result["authority"] = [re.sub(r"SOA (\S+ \S+) \d+", r"SOA \1 SERIAL", text) for text in result["authority"]]
        check_equal(offline, live, f"{words} offline")


def test_query(_case, daemon):
    """The answer's message, live and offline, as if asked from there."""
    for where in (["-s", daemon.control], ["-c", daemon.site.path]):
        said = dnsdctl(*where, "--json", "query", "db.local.clamav.test", "--from", "127.2.0.1")
        message = dns.message.from_wire(bytes.fromhex(json.loads(said.out)["message"]))
        check_equal(set(addresses(message)), DE, "addresses")
        said = dnsdctl(*where, "query", "db.at.clamav.test", "AAAA")
        check("ANSWER SECTION" in said.out and "2001:db8::21" in said.out, said.out)


def test_lookups(_case, daemon):
    """Geo database, version record, pool."""
    check_equal(daemon.ctl("geo", "lookup", "127.2.3.4"), {"address": "127.2.3.4", "country": "DE", "network": "127.2.0.0/16"}, "geo")
    check("is no address" in daemon.ctl_fails("geo", "lookup", "127.2.3"), "no address")
    version = daemon.ctl("version", "show")[0]
    check_equal((version["name"], version["zone"], version["databases"]),
                ("current.cvd", "clamav.test", {"main": 62, "daily": 27500, "bytecode": 335, "safebrowsing": 49192}), "version")
    answer = ask(daemon, "current.cvd.clamav.test", "TXT")
    check_equal(f'"{version["text"]}"', records(answer.answer)[0][3], "text of the record")
    pool = daemon.ctl("pool", "show", "clamav")[0]
    check_equal([(m["mirror"], m["country"], m["addresses-all"], m["state"]) for m in pool["mirrors"]],
                [(host, country, addrs, "in") for host, country, addrs in MIRRORS], "mirrors")
    borrowed = {entry["name"]: entry["level"] for entry in pool["names"]}
    check_equal([borrowed[f"db.{name}.clamav.test"] for name in ("de", "fr", "jp", "europe")],
                ["country", "neighbour", "world", "region"], "levels of names")
    check('no pool "other"' in daemon.ctl_fails("pool", "show", "other"), "another pool")


def test_log_level(_case, daemon):
    """It is told, changed, and in force."""
    check_equal(daemon.ctl("log", "level"), {"level": "info"}, "at first")
    mark = daemon.log.mark()
    check_equal(daemon.ctl("log", "level", "error"), {"level": "error"}, "set")
    daemon.ctl("reload")
    check_equal([line for line in daemon.log.since(mark) if "reloaded" in line], [], "lines of a reload at level error")
    daemon.ctl("log", "level", "info")
    mark = daemon.log.mark()
    daemon.ctl("reload")
    daemon.log.wait("reloaded", mark)
    check("is none of error" in daemon.ctl_fails("log", "level", "loud"), "no level")


USAGE = (["status", "now"], ["mirror", "down", "m1.de.example"], ["mirror", "off", "m1.de.example", "--reason", "x"], ["mirror"],
         ["feed", "eat"], ["explain"], ["explain", "a.test", "NOTYPE"], ["pool"], ["geo", "127.2.0.1"], ["log", "debug"],
         ["version"], ["nothing"], [], ["--nothing"], ["-t", "0", "status"], ["-c", "x", "status"],
         ["-t", "5m", "status"], ["-t", "4294967297", "status"], ["checkconf", "dnsd.conf"],
         # What would have no effect, and an answer that is not the one that was meant.
         ["query", "a.test", "--at", "2020-01-01T00:00:00Z"], ["version", "show", "--at", "2020-01-01T00:00:00Z"],
         ["reload", "--for", "2h"], ["status", "--pool", "x"], ["geo", "lookup", "127.0.0.1", "--from", "127.0.0.2"],
         ["mirror", "auto", "m1.de.example", "--for", "2h"], ["mirror", "auto", "m1.de.example", "--in", "2h"],
         ["mirror", "drain", "m1.de.example", "--reason", "x", "--in", "2h", "--at", "2020-01-01T00:00:00Z"],
         ["mirror", "down", "m1.de.example", "--reason", b"K\xfchlung"],
         ["feed", "show", "--serial", "3"], ["feed", "accept", "--serial", "-1"], ["feed", "accept", "--serial", "3x"],
         ["feed", "accept", "--serial", "9223372036854775808"], ["pool", "show", "--serial", "3"])


def test_usage(_case, daemon):
    """Wrong usage: status 2, nothing on standard output, the socket is not even looked for."""
    for words in USAGE:
        said = dnsdctl("-s", "/nonexistent/ctl.sock", *words)
        check_equal((said.status, said.out), (2, ""), f"dnsdctl {words}: {said.err}")
        check(said.err, f"dnsdctl {words} says nothing")
    said = daemon.dnsdctl("--json", "geo", "lookup", "nowhere")
    check_equal((said.status, json.loads(said.out)["ok"]), (1, False), "a failure is JSON too")
    check("is no address" in said.err, said.err)


def test_output_lost(_case, daemon):
    """What can't be written is told, and is no success."""
    questions = "db.de.clamav.test A 127.2.0.1\n"
    for words, stdin in ((["status"], ""), (["--json", "pool", "show"], ""), (["explain", "-"], questions)):
        with open("/dev/full", "w") as full:
            done = subprocess.run([DNSDCTL, "-s", daemon.control, *words], input=stdin, stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=60)
        check_equal(done.returncode, 1, f"exit status of {words}")
        check("cannot write the result: No space left on device" in done.stderr, f"{words}: {done.stderr}")


def test_explain_one_by_one(_case, daemon):
    """Each line is answered before the next one comes: a program may wait for it."""
    with subprocess.Popen([DNSDCTL, "-s", daemon.control, "explain", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          bufsize=1) as asked:
        for name in ("db.de.clamav.test", "db.at.clamav.test"):
            asked.stdin.write(f"{name} A 127.2.0.1\n")
            check(select.select([asked.stdout], [], [], DEADLINE_S)[0], f"no answer for {name} before the next question")
            check_equal(json.loads(asked.stdout.readline())["result"]["name"].rstrip("."), name, "answer")
        asked.stdin.close()
        check_equal(asked.wait(DEADLINE_S), 0, "exit status")


# --- mirrors ---

def test_mirror_at_once(_case, daemon):
    """Down and auto: the next answer of every worker shows it, fifty times in a row."""
    with Crowd(daemon) as crowd:
        for _ in range(ROUNDS):
            result = daemon.ctl("mirror", "down", "m1.de.example", "--reason", "disk")
            crowd.check_members(DE - {"192.0.2.1"})
            check_equal(result["state"], "admin", "state")
            daemon.ctl("mirror", "auto", "m1.de.example")
            crowd.check_members(DE)


def test_mirror_told(_case, daemon):
    """Who said it, when and why; in the result, the pool, explain and the log."""
    mark = daemon.log.mark()
    result = daemon.ctl("mirror", "down", "m2.de.example", "--for", "1h", "--reason", "new disks")
    override = result["override"]
    check_equal((override["action"], override["author"], override["reason"]), ("down", os_user(), "new disks"), "override")
    check(utc(3590) <= override["until"] <= utc(3601), f"until {override['until']}")
    entry = next(e for e in daemon.ctl("pool", "show")[0]["mirrors"] if e["mirror"] == "m2.de.example")
    check_equal((entry["state"], entry["cause"], entry["author"], entry["detail"], entry["until"]),
                ("admin", "override", os_user(), "new disks", override["until"]), "pool show")
    daemon.log.wait(rf'control: user="{os_user()}" pid=\d+ mirror m2.de.example: down: new disks', mark)
    check("new disks" in daemon.dnsdctl("explain", "db.de.clamav.test").out, "explain says why")
    check_equal(daemon.ctl("status")["pools"][0]["out"], 1, "mirrors out in status")
    daemon.ctl("mirror", "auto", "m2.de.example")
    check_equal(states(daemon)["m2.de.example"], "in", "state after auto")


def os_user():
    return pwd.getpwuid(os.getuid()).pw_name


def test_sudo(_case, daemon):
    """Root tells who has become root, in every command that changes something; what is no name is not taken for one."""
    if os.getuid() != 0:
        raise Skip("only for root it is told who called sudo")
    env = dict(os.environ, SUDO_USER="ann_b.c")
    mark = daemon.log.mark()
    for words in (["mirror", "down", "m2.de.example", "--reason", "x"], ["mirror", "auto", "m2.de.example"], ["log", "level", "info"],
                  ["reload"]):
        status, text = run([DNSDCTL, "-s", daemon.control, *words], env=env)
        check_equal(status, 0, text)
        daemon.log.wait(rf'control: user="ann_b\.c \(as root\)" pid=\d+ .*{words[0]}', mark)
        mark = daemon.log.mark()
    with Control(daemon.control) as control:
        for name, author in (("DOMAIN\\ann", "DOMAIN\\ann (as root)"), ("ann@example.org", "ann@example.org (as root)"), ("", "root"),
                             ("a b", "root"), ('a"', "root"), ("a\nb", "root"), ("\u001b[2J", "root")):
            keys = {"action": "down", "mirror": "m2.de.example", "reason": "x", "sudo-user": name}
            check_equal(control.do("mirror", **keys)["override"]["author"], author, f"author for {name!r}")
        control.do("mirror", action="auto", mirror="m2.de.example")


def test_mirror_for(_case, daemon):
    """It ends by itself, at its second; one that is said again has its new end."""
    until = daemon.ctl("mirror", "down", "m3.de.example", "--for", "2s", "--reason", "kernel")["override"]["until"]
    with Crowd(daemon) as crowd:
        while (now := utc()) < until:
            got = members(daemon)
            check("192.0.2.3" not in got or utc() >= until, f"in at {now}, before {until}: {got}")
            time.sleep(0.02)
        begin = time.monotonic()
        wait_until(lambda: crowd.members() == {frozenset(DE)}, "it is in again, by every worker")
        check_within(time.monotonic() - begin, 1, "until it was in again")
    check_equal(states(daemon)["m3.de.example"], "in", "state")


def check_drain(daemon, override):
    """The mirror is in with a TTL that never outlasts it, then out at its second."""
    at = time.mktime(time.strptime(override["from"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    ttls = []
    with Lookups(daemon.addr) as lookups:  # one worker's
        while (asked := time.time()) < at:
            answer = lookups.ask("db.de.clamav.test")
            left = at - time.time()
            if left < 0.05:
                break
            ttl = answer.answer[0].ttl
            check("192.0.2.4" in addresses(answer), f"out {left:.2f} s before its time")
            # When it was asked: the way of the answer takes a moment. On a busy machine the step itself comes late.
            check(ttl <= max(1, at - asked + 0.9), f"TTL {ttl} with {at - asked:.2f} s left")
            ttls.append(ttl)
            time.sleep(0.02)
        check(ttls == sorted(ttls, reverse=True) and len(set(ttls)) >= 2, f"the TTL steps down: {sorted(set(ttls))}")
        wait_until(lambda: "192.0.2.4" not in addresses(lookups.ask("db.de.clamav.test")), "it is out")
        check_within(time.time() - at, 1, "out late")
        check_equal(lookups.ask("db.de.clamav.test").answer[0].ttl, 300, "TTL of those that stay")
    wait_until(lambda: "192.0.2.4" not in members(daemon), "it is out at another worker")
    daemon.ctl("mirror", "auto", "m4.de.example")


def test_drain(_case, daemon):
    """By default out when the TTL is over that all have by now; --in and --at say when."""
    override = daemon.ctl("mirror", "drain", "m4.de.example", "--reason", "move")["override"]
    check(utc(280) <= override["from"] <= utc(301), f"drain begins at {override['from']}")
    explained = daemon.ctl("explain", "db.de.clamav.test")
    check_equal((explained["ttl-lowered-for"], explained["ttl-lowered-until"]), ("m4.de.example", override["from"]), "explain")
    check(explained["ttl"] < 300 and "192.0.2.4" in explained["members"], f"TTL {explained['ttl']}")
    check_equal(states(daemon)["m4.de.example"], "in", "state before its time")
    check_drain(daemon, daemon.ctl("mirror", "drain", "m4.de.example", "--in", "4s", "--reason", "move")["override"])
    check_drain(daemon, daemon.ctl("mirror", "drain", "m4.de.example", "--at", utc(4), "--reason", "move")["override"])


def test_up_over_feed(case, _):
    """A mirror that the feed excludes is in when an operator says so, until he takes it back."""
    site = case.site()
    site.folder_for("state")
    site.write("feed.json", json.dumps({"format": 1, "serial": 1, "excluded": [{"mirror": "m1.de.example", "reason": "old"}]}))
    daemon = case.daemon(write_site(site, pool={"feed": '"feed.json"'}))
    with Crowd(daemon) as crowd:
        crowd.check_members(DE - {"192.0.2.1"})
        check_equal(daemon.ctl("mirror", "up", "m1.de.example", "--reason", "the monitor is wrong")["state"], "in", "state")
        crowd.check_members(DE)
        site.write("feed.json", json.dumps({"format": 1, "serial": 2, "excluded": [{"mirror": "m1.de.example", "reason": "old"}]}))
        daemon.log.wait("feed serial 2 in force")
        crowd.check_members(DE)
        check_equal(daemon.ctl("mirror", "auto", "m1.de.example")["state"], "old", "state as the feed says")
        crowd.check_members(DE - {"192.0.2.1"})


BAD_OVERRIDES = [
    (["down", "m1.de.exmaple", "--reason", "x"], r'no mirror "m1.de.exmaple"; did you mean m1\.de\.example'),
    (["down", "de.exam", "--reason", "x"], r"did you mean m1\.de\.example, m2\.de\.example, m3\.de\.example"),
    (["down", "nowhere.invalid", "--reason", "x"], r'no mirror "nowhere.invalid"; "dnsdctl pool show" lists them'),
    (["auto", "m9.de.example"], r"did you mean m1\.de\.example"),
    (["down", "m1.de.example", "--reason", "x", "--pool", "other"], "no mirror"),
    (["down", "m1.de.example", "--reason", ""], "say why"),
    (["down", "m1.de.example", "--reason", "x" * 201], "1 to 200 bytes"),
] + [(["down", "m1.de.example", "--reason", "x", "--for", text], "lengths of time") for text in ("0", "0s", "500ms", "-5m", "2x", "", "400d", "1h30")] \
  + [(["drain", "m1.de.example", "--reason", "x", "--in", "soon"], "lengths of time")] \
  + [(["drain", "m1.de.example", "--reason", "x", "--at", text], "time to come") for text in
     ("2020-01-01T00:00:00Z", "2020-13-01T00:00:00Z", "tomorrow", "", "9999-01-01T00:00:00Z")]


def test_mirror_refused(_case, daemon):
    """Unknown mirrors, reasons and times: told with what would do, and nothing has changed."""
    generation = daemon.ctl("status")["generation"]
    for words, message in BAD_OVERRIDES:
        said = daemon.ctl_fails("mirror", *words)
        check(re.search(message, said), f"mirror {words}: {said}")
    check("say why" in daemon.ctl_fails("mirror", "down", "m1.de.example", status=2), "no reason at all")
    check_equal(daemon.ctl("status")["generation"], generation, "generation")
    check_equal(members(daemon), DE, "members")


# --- feeds ---

def feed(serial, *hosts):
    return json.dumps({"format": 1, "serial": serial, "monitor": "ams", "generated": int(time.time()),
                       "excluded": [{"mirror": host, "reason": "unreachable"} for host in hosts]})


def test_feed(case, _):
    """A feed that takes out too much: shown, rejected until there is a higher serial, accepted."""
    site = case.site()
    site.folder_for("state")
    site.write("feed.json", feed(1))
    daemon = case.daemon(write_site(site, pool={"feed": '"feed.json"', "max_removal": 30, "feed_hold": '"1h"'}))
    held = ["m1.de.example", "m2.de.example"]

    def write(serial, *hosts):
        site.write("feed.json", feed(serial, *hosts))
        wait_until(lambda: daemon.ctl("feed", "show")[0].get("held", {}).get("serial") == serial, f"serial {serial} is held")

    check("no feed of pool clamav is held" in daemon.ctl_fails("feed", "accept"), "nothing is held")
    write(2, *held)
    shown = daemon.ctl("feed", "show", "clamav")[0]
    check_equal((shown["file"], shown["in-force"]["serial"], shown["expired"]), (site.file("feed.json"), 1, False), "feed show")
    check_equal((shown["held"]["takes-out"], shown["held"]["monitor"], [e["mirror"] for e in shown["held"]["excluded"]]), (2, "ams", held), "held")
    check(utc(3500) < shown["held"]["comes-into-force"] < utc(3610), shown["held"]["comes-into-force"])
    check_equal(len(daemon.ctl("status")["problems"]), 1, "problems")
    check_equal(daemon.ctl("feed", "reject")["held"]["rejected"], True, "rejected")
    check_equal(daemon.ctl("status")["problems"], [], "problems after that")
    check("rejected" in daemon.dnsdctl("feed", "show").out, "in the table")
    daemon.ctl("reload")
    check_equal(daemon.ctl("feed", "show")[0]["held"]["rejected"], True, "still rejected after a reload")
    check_equal(members(daemon), DE, "members")
    write(3, *held)
    check_equal(daemon.ctl("feed", "show")[0]["held"]["rejected"], False, "a higher serial is held anew")
    # Another one than the operator has looked at.
    for action in ("accept", "reject"):
        check("has serial 3 by now" in daemon.ctl_fails("feed", action, "--serial", "2"), f"{action} of the one before")
    with Control(daemon.control) as control:
        check("the number" in control.ask("feed", action="accept", serial="3")["error"], "a serial that is a text")
    check_equal((daemon.ctl("feed", "show")[0]["held"]["rejected"], members(daemon)), (False, DE), "untouched")
    mark = daemon.log.mark()
    with Crowd(daemon) as crowd:
        check_equal(daemon.ctl("feed", "accept", "clamav", "--serial", "3")["in-force"]["serial"], 3, "accepted")
        crowd.check_members(DE - {"192.0.2.1", "192.0.2.2"})
    daemon.log.wait(rf'user="{os_user()}" pid=\d+ feed of pool clamav serial 3 accepted', mark)
    check("held" not in daemon.ctl("feed", "show")[0], "nothing is held any more")
    check('no pool "x"' in daemon.ctl_fails("feed", "show", "x"), "another pool")


# --- reload ---

def test_reload(case, _):
    """The answer right after it is the new one, fifty times in a row."""
    site = write_site(case.site(), server=CONTROL)
    daemon = case.daemon(site)
    with Crowd(daemon) as crowd:
        generation = 0
        for i in range(ROUNDS):
            site.write("clamav.zone", ZONE + f"round TXT {i}\n")
            result = daemon.ctl("reload")
            texts = {records(answer.answer)[0][3] for answer in crowd.ask("round.clamav.test", "TXT")}
            check_equal(texts, {f'"{i}"'}, "text after the reload")
            check(result["generation"] > generation, f"generation {result['generation']} after {generation}")
            generation = result["generation"]


def test_reload_refused(case, _):
    """Errors come back to who asked, with file and line; nothing has changed."""
    site = write_site(case.site(), server=CONTROL)
    daemon = case.daemon(site)
    before = daemon.ctl("status")
    site.write("clamav.zone", ZONE + "www\tA\t192.0.2.300\nnext\tA\t192.0.2.9\nlast\tMX\tx\n")
    said = daemon.dnsdctl("--json", "reload")
    check_equal(said.status, 1, said.err)
    lines = ZONE.count("\n")
    for line in (lines + 1, lines + 3):
        check(re.search(rf"^error: .*clamav\.zone:{line}: ", said.err, re.M), f"line {line} is not told: {said.err}")
    check_equal(json.loads(said.out)["ok"], False, "JSON on standard output")
    status = daemon.ctl("status")
    check_equal((status["last-reload-ok"], status["names"], len(status["problems"])), (False, before["names"], 1), "status")
    check_equal(records(ask(daemon, "www.clamav.test").answer)[0][3], "192.0.2.250", "the answer")
    check_equal(addresses(ask(daemon, "next.clamav.test")), [], "a name of the bad file")
    # A file in another encoding: what is wrong is told all the same.
    write_site(site, server=CONTROL)
    with open(site.file("mirrors.conf"), encoding="latin-1") as file:
        text = file.read()
    with open(site.file("mirrors.conf"), "w", encoding="latin-1") as file:
        file.write(text.replace("m1.at.example", "m\xfcnchen.example"))
    said = daemon.dnsdctl("reload")
    check(re.search(r'^error: .*mirrors\.conf:\d+: host: "m\?nchen\.example" has a character that is no letter', said.err, re.M), said.err)
    write_site(site, server=CONTROL)
    said = daemon.dnsdctl("reload")
    check(said.status == 0 and "is served" in said.out, f"{said}")
    check_equal(daemon.ctl("status")["problems"], [], "problems after it is mended")


# --- the socket ---

def test_parallel(_case, daemon):
    """Twenty at a time, some of which change something: each is answered."""
    said = []

    def work(number):
        words = (["status"], ["pool", "show"], ["mirror", "down", MIRRORS[number % 4][0], "--reason", "x"], ["explain", "db.de.clamav.test"],
                 ["reload"])[number % 5]
        said.append(daemon.dnsdctl("--json", *words))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check_equal([s.status for s in said], [0] * 20, f"statuses {[s.err for s in said if s.status]}")
    check(all(json.loads(s.out) for s in said), "all are JSON")
    for host, *_ in MIRRORS[:4]:
        daemon.ctl("mirror", "auto", host)
    check_equal(members(daemon), DE, "members")


def test_file(case, _):
    """Mode 0660; a second daemon leaves the first alone; it is gone when the daemon is."""
    site = write_site(case.site(), server=CONTROL)
    daemon = case.daemon(site)
    mode = os.stat(daemon.control).st_mode
    check_equal((stat.S_ISSOCK(mode), stat.S_IMODE(mode)), (True, 0o660), "type and mode")
    second = case.daemon(site)
    second.log.wait(r"ctl\.sock: cannot open the control socket: another process answers on it; dnsdctl reaches this server not at all")
    check_equal(second.ctl("status")["pid"], daemon.pid, "who answers")
    second.stop()
    check_equal(daemon.ctl("status")["pid"], daemon.pid, "who answers after the second has stopped")
    daemon.stop()
    check(not os.path.lexists(daemon.control), "the socket is left behind")


def test_other_file(case, _):
    """A file in place of the socket is not touched; nor is a socket that somebody else has put there."""
    site = write_site(case.site(), server=CONTROL)
    site.write("ctl.sock", "precious\n")
    daemon = case.daemon(site)
    daemon.log.wait(r"ctl\.sock: cannot open the control socket")
    check_equal(members(daemon), DE, "members")
    daemon.stop()
    with open(daemon.control) as file:
        check_equal(file.read(), "precious\n", "the file")
    os.unlink(daemon.control)
    # Of another kind, as those of a log daemon or a service manager are: it can't be connected to, and is alive.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        other.bind(daemon.control)
        daemon = case.daemon(site)
        daemon.log.wait(r"ctl\.sock: cannot open the control socket: another process answers on it")
        daemon.stop()
        client.sendto(b"still there", daemon.control)
        check_equal(other.recv(100), b"still there", "what the other socket gets")


def test_moved(case, _):
    """A reload that moves the socket is answered on the old one, and then reached at the new one."""
    site = write_site(case.site(), server=CONTROL)
    daemon = case.daemon(site)
    write_site(site, server='control = "other.sock";')
    daemon.ctl("reload")
    check(not os.path.lexists(daemon.control), "the old socket is left behind")
    said = dnsdctl("--json", "-s", site.file("other.sock"), "status")
    check_equal((said.status, said.err), (0, ""), "status at the new one")
    site.write("taken", "x")
    write_site(site, server='control = "taken";')
    said = dnsdctl("-s", site.file("other.sock"), "reload")
    check_equal(said.status, 0, said.err)
    check("cannot open the control socket: this file is no socket" in said.err and "other.sock" in said.err, said.err)
    check_equal(dnsdctl("-s", site.file("other.sock"), "status").status, 0, "the one before stays")
    write_site(site, server="")
    said = dnsdctl("-s", site.file("other.sock"), "reload")
    check_equal((said.status, said.err), (0, ""), "a reload without control in the configuration")
    check(not os.path.lexists(site.file("other.sock")), "the socket is left behind")
