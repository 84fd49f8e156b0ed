"""`explain` and the answers that are served agree: on the running daemon, of a configuration, and of the past."""
import json
import os
import subprocess
import time

import dns.edns
import dns.rcode

from harness import (DNSDCTL, Control, Lookups, addresses, amount, check, check_equal, geo_table, records, wait_until)

QUESTIONS = amount(2500, 10000, 1000)
PAST_QUESTIONS = amount(200, 1000, 60)

MIRRORS = [(f"m{i}.{country.lower()}.example", country,
            [f"192.0.2.{10 * k + i}"] + ([f"2001:db8:{k}::{i}"] if i % 2 else []), 50 * i)
           for k, country in enumerate(("DE", "FR", "US", "JP", "AT", "ZA")) for i in range(1, 5)]
REGIONS = """regions = ( { name = "europe"; countries = [ "DE", "FR", "AT", "GB", "NL", "BE", "CZ", "IT" ]; },
	{ name = "asia"; countries = [ "JP", "CN", "IN" ]; } );
neighbours = ( { country = "LI"; near = [ "AT", "DE" ]; }, { country = "GB"; near = [ "FR" ]; } );
"""
ZONE = """$TTL 1h
@	SOA	ns1 hostmaster 1 3h 30m 2w 5m
@	NS	ns1
ns1	A	192.0.2.251
www	A	192.0.2.250
alias	CNAME	db.de
near	CNAME	db.local
sub	NS	ns.sub
ns.sub	A	192.0.2.252
*.wild	A	192.0.2.249
"""
NAMES = (["db.local"] * 8 + [f"db.{c}" for c in "de fr us jp at za li gb nl br ru xx".split()] + ["db.de.ipv6", "db.fr.big", "database"]
         + ["db.europe", "db.asia", "www", "alias", "near", "nothing", "x.sub", "a.wild", "current.cvd"])


def feed(serial):
    """Exclusions of every kind, others each time."""
    out = [{"mirror": MIRRORS[(serial + i) % len(MIRRORS)][0], "reason": reason}
           for i, reason in enumerate(("unreachable", "late", "wrong-content", "old", "slow"))]
    out += [{"mirror": f"m{i}.jp.example", "reason": "unreachable"} for i in range(1, 5)] if serial % 2 else []
    out.append({"address": MIRRORS[(serial * 7) % len(MIRRORS)][2][0], "reason": "http-error"})
    return json.dumps({"format": 1, "pool": "clamav", "serial": serial, "excluded": out,
                       "weights": [{"mirror": "m2.us.example", "factor": 0.3}]})


def make_questions(case, n):
    """(name, type, source, client subnet or None)"""
    random = case.random
    nets = [str(net.network_address).rsplit(".", 2)[0] for net, _ in geo_table() if net.version == 4 and net.prefixlen == 16]
    found = []
    for _ in range(n):
        subnet = None
        if random.random() < 0.7:
            length = random.randint(1, 32)
            value = random.getrandbits(32) if random.random() < 0.3 else int.from_bytes(
                bytes([random.choice((5, 8, 41, 127, 133, 192)), random.randint(0, 255), random.randint(0, 255), 1]), "big")
            value &= 0xffffffff << (32 - length)
            subnet = ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0)) + f"/{length}"
        kind = "TXT" if random.random() < 0.05 else random.choice(("A", "A", "AAAA"))
        found.append((random.choice(NAMES) + ".clamav.test", kind, f"{random.choice(nets)}.0.{random.randint(1, 3)}", subnet))
    return found


class Asker:
    """Asks from many source addresses, each with a socket of its own."""

    def __init__(self, case, daemon):
        self.case, self.daemon, self.sockets = case, daemon, {}

    def ask(self, name, kind, source, subnet):
        if source not in self.sockets:
            self.sockets[source] = self.case.stack.enter_context(Lookups(self.daemon.addr, source))
        return self.sockets[source].ask(name, kind, edns=1232, ecs=subnet)


TYPES = {"A": 1, "AAAA": 28, "TXT": 16}


def request(name, kind, source, subnet, **more):
    return {"name": name, "type": TYPES[kind], "from": source} | ({"ecs": subnet} if subnet else {}) | more


def compare(question, answer, told):
    """What is told of a question against its answer."""
    what = f"{question}: {json.dumps(told)[:1500]}\n{answer}"
    check_equal(told["rcode"], dns.rcode.to_text(answer.rcode()), what)
    scope = [option.scopelen for option in answer.options if isinstance(option, dns.edns.ECSOption)]
    check_equal(scope, [told["scope"]] if "scope" in told else [], f"scope of {what}")
    kinds = [text.split()[3] for text in told["answer"]]
    got = records(answer.answer)
    if answer.flags & 0x0200:  # cut off over UDP
        return
    check_equal([kind for _, _, kind, _ in got], kinds, f"records of {what}")
    check_equal([ttl for _, ttl, _, _ in got], [int(text.split()[1]) for text in told["answer"]], f"TTLs of {what}")
    if "members" in told and question[1] in ("A", "AAAA"):
        members = set(told["members"])
        check(set(addresses(answer)) <= members, f"no member: {what}")
        check_equal(told["agrees"], True, what)
        used = {address for mirror in told["mirrors"] if mirror["used"] for address in mirror["addresses-all"]}
        check(members <= used, f"a member is of no used mirror: {what}")


class World:
    def __init__(self, case):
        self.site = case.site()
        os.makedirs(self.site.file("state"))
        self.site.write("feed.json", feed(1))
        self.site.pool_site(MIRRORS, regions=REGIONS, zone_text=ZONE, pool={"feed": '"feed.json"', "max_removal": 100, "max-answers": 3},
                            versions='{ name = "current.cvd"; main = 62; daily = 27500; bytecode = 335; software = "1.4.3"; }',
                            server='control = "control.sock"; state-directory = "state";')
        self.daemon = case.daemon(self.site)
        self.asker = Asker(case, self.daemon)
        self.control = case.stack.enter_context(Control(self.site.file("control.sock")))
        self.control.do("mirror", action="down", mirror="m1.de.example", reason="disk")
        self.control.do("mirror", action="up", mirror="m2.fr.example", reason="looks good", **{"for": "1h"})
        self.control.do("mirror", action="drain", mirror="m1.at.example", reason="move", **{"in": "1d"})


def test_live(case, _):
    """10,000 questions, each explained by the daemon that answers it."""
    world = World(case)
    kinds = set()
    for question in make_questions(case, QUESTIONS):
        told = world.control.do("explain", **request(*question))
        compare(question, world.asker.ask(*question), told)
        kinds.add((told["result"], told.get("level"), told.get("kind")))
    print(f"     {QUESTIONS} questions, {len(kinds)} kinds of answers")
    check(len(kinds) > 15, f"too few kinds of answers: {kinds}")


def test_offline(case, _):
    """The same of the configuration alone, with what is kept in the state directory."""
    world = World(case)
    questions = make_questions(case, QUESTIONS)
    lines = "".join(" ".join(part for part in question if part) + "\n" for question in questions)
    # The drain's moment is a day away: a TTL that steps down meanwhile would be bad luck indeed.
    done = subprocess.run([DNSDCTL, "-c", world.site.path, "explain", "-"], input=lines, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120)
    check_equal(done.returncode, 0, f"exit status, {done.stderr}")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    check_equal(len(told), len(questions), "lines")
    for question, response in zip(questions, told):
        compare(question, world.asker.ask(*question), response["result"])


def test_past(case, _):
    """Answers of a handful of moments, explained afterwards with --at."""
    world = World(case)
    kept = []
    for serial in range(2, 6):
        # Moments are whole seconds: each state gets one of its own.
        begin = int(time.time())
        wait_until(lambda begin=begin: int(time.time()) > begin, "the next second")
        mark = world.daemon.log.mark()
        world.site.write("feed.json", feed(serial))
        match = world.daemon.log.wait(f"serial {serial} (takes out|in force)", mark)
        if match[1] == "takes out":  # all of a country
            world.control.do("feed", action="accept")
        wait_until(lambda serial=serial: world.control.do("feed")[0]["in-force"]["serial"] == serial, "the feed in force")
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        questions = [q for q in make_questions(case, PAST_QUESTIONS // 4) if not q[0].startswith("current")]
        kept += [(moment, question, world.asker.ask(*question)) for question in questions]
    begin = int(time.time())
    wait_until(lambda: int(time.time()) > begin, "the next second")
    world.control.do("mirror", action="auto", mirror="m1.de.example")
    for moment, question, answer in kept:
        compare(question, answer, world.control.do("explain", **request(*question, at=moment)))
    told = world.control.ask("explain", **request(*kept[0][1], at="2020-01-01T00:00:00Z"))
    check("does not reach back" in told.get("error", ""), f"{told}")
