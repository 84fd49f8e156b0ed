"""kill -9 at any moment: what was confirmed is in force after the restart."""
import json
import os
import threading
import time

from harness import Control, addresses, amount, ask, check, check_equal, wait_until

KILLS = amount(60, 200, 30)
MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 9)] + [("m1.fr.example", "FR", ["192.0.2.101"])]
HOSTS = [mirror[0] for mirror in MIRRORS[:8]]


class Operator(threading.Thread):
    """Sets and takes back overrides until the socket ends, and remembers what it was told."""

    def __init__(self, path, random, confirmed):
        super().__init__(daemon=True)
        self.path = path
        self.random = random
        self.confirmed = confirmed  # {host: "down"/"up"/None}
        self.open = None  # (host, action) that was asked for and not confirmed
        self.serial = 0
        self.trouble = None

    def run(self):
        try:
            with Control(self.path) as control:
                while True:
                    self.step(control)
        except (EOFError, OSError):
            pass  # killed
        except Exception as trouble:
            self.trouble = trouble

    def step(self, control):
        host = self.random.choice(HOSTS)
        action = self.random.choice(("down", "up", "auto"))
        self.open = (host, action)
        response = control.ask("mirror", action=action, mirror=host, reason="test")
        check(response["ok"], f"{response}")
        check("warning" not in response, f"{response}")
        self.confirmed[host] = None if action == "auto" else action
        self.open = None
        if self.random.random() < 0.2:
            self.serial = max(self.serial, control.do("feed")[0]["in-force"]["serial"])


def overrides_of(control):
    """{host: "down"/"up"} as they are in force."""
    found = {}
    for mirror in control.do("pool")[0]["mirrors"]:
        if mirror.get("cause") == "override":
            found[mirror["mirror"]] = "down" if mirror["state"] == "admin" else "up"
    return found


def check_journal(path):
    """Whole lines but for the last one."""
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    for line in lines[:-1]:
        json.loads(line)


def feed(serial, out):
    return json.dumps({"format": 1, "pool": "clamav", "serial": serial,
                       "excluded": [{"mirror": host, "reason": "unreachable"} for host in out]})


def test_kill(case, _):
    """200 times, while overrides, journal and feed change."""
    site = case.site()
    os.makedirs(site.file("state"))
    serial = 1
    site.write("feed.json", feed(serial, []))
    site.pool_site(MIRRORS, pool={"feed": '"feed.json"', "max_removal": 100}, geo='nets = ();',
                   server='control = "control.sock"; state-directory = "state"; journal-max-bytes = 20000;', workers=1)
    confirmed, told_serial, operations, either = {}, 0, 0, 0
    daemon = case.daemon(site)
    for kill in range(KILLS):
        operator = Operator(site.file("control.sock"), case.random, confirmed)
        operator.start()
        end = time.monotonic() + case.random.uniform(0.005, 0.15)
        while time.monotonic() < end:
            serial += 1
            site.write("feed.json", feed(serial, case.random.sample(HOSTS, 2)))
            time.sleep(case.random.uniform(0.001, 0.02))
        daemon.kill()
        operator.join(10)
        check(not operator.is_alive(), "the operator hangs")
        if operator.trouble:
            raise operator.trouble
        told_serial = max(told_serial, operator.serial)
        check_journal(site.file("state/journal.jsonl"))
        # Sometimes the monitor is gone as well: then the saved feed counts. Not at first: there may be none yet.
        gone = kill % 5 == 4
        if gone:
            os.rename(site.file("feed.json"), site.file("feed.gone"))
        daemon = case.daemon(site)
        with Control(site.file("control.sock")) as control:
            found = overrides_of(control)
            want = {host: action for host, action in confirmed.items() if action}
            if operator.open:
                either += 1
                host, action = operator.open
                asked = None if action == "auto" else action
                check(found.get(host) in (want.get(host), asked), f"{host}: {found.get(host)}, confirmed {want.get(host)}, asked {asked}")
                confirmed[host] = found.get(host)
                want = {host: action for host, action in confirmed.items() if action}
            check_equal(found, want, f"overrides in force after kill {kill}")
            # Of a feed that nobody was told of yet nothing may have been kept.
            in_force = control.do("feed")[0].get("in-force", {"serial": 0})["serial"]
            check(in_force >= told_serial, f"feed serial {in_force} after kill {kill}, {told_serial} was told before")
            told_serial = max(told_serial, in_force)
            past = control.do("pool", at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))[0]
            then = {m["mirror"] for m in past["mirrors"] if m["state"] == "admin"}
            check_equal(then, {host for host, action in want.items() if action == "down"}, "the journal's last state")
        answered = set(addresses(ask(daemon, "db.de.big.clamav.test")))
        for host, action in want.items():
            address = f"192.0.2.{host[1]}"
            check((address in answered) == (action == "up"), f"{host} is {action}, answered {sorted(answered)}")
        operations += len(confirmed)
        if gone:
            os.rename(site.file("feed.gone"), site.file("feed.json"))
    print(f"     {KILLS} kills, {either} of them with a command under way, feed serial {serial}, {len(os.listdir(site.file('state')))} files kept")
    check(either > KILLS // 20, "the kills never met a command: the test shows nothing")
