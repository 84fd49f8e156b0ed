"""Signed feeds, with the real minisign: followed when signed by one of feed-key, else refused with the reason."""
import json
import os
import re
import subprocess

from harness import DNSD, addresses, ask, check, check_equal, need_program, run, wait_until

MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 5)]
DE = {f"192.0.2.{i}" for i in range(1, 5)}
REFUSED = "the feed is refused, the last good one stays in force"


def setup(case):
    """Three key pairs."""
    need_program("minisign")
    return [Key(os.path.join(case.folder, f"key{i}")) for i in range(3)]


class Key:
    def __init__(self, path):
        self.path = path
        minisign("-G", "-W", "-p", path + ".pub", "-s", path + ".sec")
        with open(path + ".pub") as file:
            comment, self.text = file.read().split("\n")[:2]
        self.id = comment.split()[-1]

    def sign(self, path, *options):
        """The bytes of the signature."""
        minisign("-S", "-s", self.path + ".sec", "-m", path, "-x", path + ".sig", *options)
        with open(path + ".sig", "rb") as file:
            return file.read()


def minisign(*arguments):
    subprocess.run([need_program("minisign"), *arguments], check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)


def feed(serial, *out):
    """A feed that takes these mirrors out, by number."""
    excluded = [{"mirror": f"m{i}.de.example", "reason": "unreachable"} for i in out]
    return json.dumps({"format": 1, "pool": "clamav", "serial": serial, "excluded": excluded})


def key_list(keys):
    return "[ " + ", ".join(f'"{key.text}"' for key in keys) + " ]"


class World:
    """A daemon that follows a signed feed.json in a folder of its own; m1 is out by serial 10 of the first key."""

    def __init__(self, case, signer, keys, **pool):
        self.site = case.site()
        self.put(feed(10, 1), signer)
        self.pool = {"feed": '"feed/feed.json"', "feed_key": key_list(keys), "max_removal": 80} | pool
        self.configure()
        self.daemon = case.daemon(self.site)
        check_equal(self.members(), DE - {"192.0.2.1"}, "members at the start")

    def configure(self, **pool):
        self.pool |= pool
        self.site.pool_site(MIRRORS, pool=self.pool)

    def sign(self, text, signer, *options):
        return signer.sign(self.site.write("work/feed.json", text), *options)

    def put(self, text, signer, *options):
        """As docs/feed.md says: sign, rename the signature, rename the feed."""
        self.site.write("feed/feed.json.minisig", self.sign(text, signer, *options))
        self.site.write("feed/feed.json", text)

    def put_both(self, text, signature):
        """Returns the mark of the log before the feed arrived."""
        if signature is not None:
            self.site.write("feed/feed.json.minisig", signature)
        mark = self.daemon.log.mark()
        self.site.write("feed/feed.json", text)
        return mark

    def members(self):
        return set(addresses(ask(self.daemon, "db.de.clamav.test")))

    def wait_members(self, want):
        wait_until(lambda: self.members() == want, f"db.de is {sorted(want)}, not {sorted(self.members())}")

    def never(self, text):
        check(not any(text in line for line in self.daemon.log.since(0)), f"the log says: {text}")

    def refused(self, mark, message):
        """One message, that of the signature file, and nothing changes."""
        line = self.daemon.log.wait(rf"feed\.json\.minisig: {message}.*{REFUSED}", mark)
        check_equal(self.members(), DE - {"192.0.2.1"}, f"members after: {line.string}")


def test_followed(case, keys):
    """Both forms of signatures, again and again; after each, the next one is awaited."""
    world = World(case, keys[0], keys[:1])
    world.put(feed(11, 2), keys[0])
    world.wait_members(DE - {"192.0.2.2"})
    world.put(feed(12, 3), keys[0], "-l")
    world.wait_members(DE - {"192.0.2.3"})
    world.put(feed(13, 4), keys[0], "-c", "somebody", "-t", "made by hand")
    world.wait_members(DE - {"192.0.2.4"})
    world.put("serial 14\nm1.de.example late\n", keys[0])
    world.wait_members(DE - {"192.0.2.1"})
    signature = world.sign(feed(15), keys[0]).replace(b"\n", b"\r\n")
    world.put_both(feed(15), signature)
    world.wait_members(DE)


def test_unsigned(case, keys):
    """No signature file: refused, and followed when it comes, by the signature's rename alone."""
    world = World(case, keys[0], keys[:1])
    os.unlink(world.site.file("feed/feed.json.minisig"))
    mark = world.put_both(feed(11, 2), None)
    world.refused(mark, r"cannot read the signature that feed-key asks for .*: No such file")
    world.site.write("feed/feed.json.minisig", world.sign(feed(11, 2), keys[0]))
    world.wait_members(DE - {"192.0.2.2"})


def test_other_bytes(case, keys):
    """A feed that was changed, or the signature of the feed before it, in both forms."""
    world = World(case, keys[0], keys[:1])
    older = world.sign(feed(10, 1), keys[0])
    for serial, options in (11, ()), (12, ("-l",)):
        text = feed(serial, 2)
        signature = world.sign(text, keys[0], *options)
        changed = signature.replace(b"\ntrusted comment: timestamp:", b"\ntrusted comment: timestamp:9")
        world.refused(world.put_both(feed(serial, 3), signature), "it was made for other bytes")
        world.refused(world.put_both(text + "\n", signature), "it was made for other bytes")
        world.refused(world.put_both(text, older), "it was made for other bytes")
        world.refused(world.put_both(text, changed), "its trusted comment was changed")
    world.put(feed(13, 2), keys[0])
    world.wait_members(DE - {"192.0.2.2"})
    world.never("feed serial 11 in force")
    world.never("feed serial 12 in force")


def test_replayed(case, keys):
    """An older feed with its own good signature is one whose serial goes back."""
    world = World(case, keys[0], keys[:1])
    mark = world.put_both(feed(9, 2), world.sign(feed(9, 2), keys[0]))
    world.daemon.log.wait("serial 9 is lower than 10", mark)
    check_equal(world.members(), DE - {"192.0.2.1"}, "members")


def test_other_key(case, keys):
    """A good signature by somebody else; its id is told."""
    world = World(case, keys[0], keys[:2])
    mark = world.put_both(feed(11, 2), world.sign(feed(11, 2), keys[2]))
    world.refused(mark, f"it was made with key {keys[2].id}, which is none of feed-key")


def test_rotation(case, keys):
    """The next key is added, signs, and the first one is taken out; what it signs is then refused."""
    world = World(case, keys[0], keys[:1])
    world.configure(feed_key=key_list(keys[:2]))
    world.daemon.reload()
    check_equal(world.members(), DE - {"192.0.2.1"}, "members after the reload")
    world.put(feed(11, 2), keys[1])
    world.wait_members(DE - {"192.0.2.2"})
    world.configure(feed_key=key_list(keys[1:2]))
    world.daemon.reload()
    check_equal(world.members(), DE - {"192.0.2.2"}, "members after the second reload")
    mark = world.put_both(feed(12, 3), world.sign(feed(12, 3), keys[0]))
    world.daemon.log.wait(f"made with key {keys[0].id}, which is none of feed-key", mark)
    check_equal(world.members(), DE - {"192.0.2.2"}, "members at the end")


def test_key_taken_out(case, keys):
    """A feed in force by a key that is taken out is dropped at the reload, so its serial binds nobody."""
    world = World(case, keys[0], keys[:1])
    world.configure(feed_key=key_list(keys[1:2]))
    lines = world.daemon.reload()
    check(any("serial 10, which is in force, is signed by none of feed-key" in line for line in lines), lines)
    check_equal(world.members(), DE, "members after the reload")
    world.put(feed(3, 2), keys[1])
    world.wait_members(DE - {"192.0.2.2"})


def test_bad_files(case, keys):
    """Garbage, cut off, too large, a folder, a FIFO: refused at once; nothing waits."""
    world = World(case, keys[0], keys[:1])
    text = feed(11, 2)
    good = world.sign(text, keys[0])
    for bad, message in ((b"", "its line 1"), (bytes(range(256)), "its line 1"), (good[:60], "its line 2"), (good[:180], "its line [34]"),
                         (good + b"more\n", "something follows"), (text.encode(), "its line 1"),
                         (b"x" * 5000, "cannot read the signature.*larger than 4096"),
                         (b"untrusted comment: \x1b[2J\n" + good.split(b"\n", 1)[1], "a comment of it holds control")):
        world.refused(world.put_both(text, bad), message)
    path = world.site.file("feed/feed.json.minisig")
    for make in os.mkdir, os.mkfifo:
        os.unlink(path)
        make(path)
        world.refused(world.put_both(text, None), "cannot read the signature.*: it is not a regular file")
        if make is os.mkdir:
            os.rmdir(path)
            world.site.write("feed/feed.json.minisig", b"")
    os.unlink(path)
    world.put(feed(12, 2), keys[0])
    world.wait_members(DE - {"192.0.2.2"})
    world.never("feed serial 11 in force")


def test_hold_survives_the_renames(case, keys):
    """A feed that the breaker holds is written anew all the time: looks between two renames do not begin the hold anew."""
    world = World(case, keys[0], keys[:1], max_removal=30, feed_hold='"5s"')
    text = feed(12, 1, 2, 3)
    signature = world.sign(text, keys[0])
    world.put(feed(11, 1, 2, 3), keys[0])
    world.daemon.log.wait("serial 11 takes out 2 of 4 mirrors at once: held back for 5 s")
    mark = world.daemon.log.mark()
    world.site.write("feed/feed.json.minisig", signature)
    world.daemon.log.wait(f"it was made for other bytes; {REFUSED}", mark)
    world.put_both(text, None)
    world.daemon.log.wait("serial 12 was held back and still says the same", mark)
    world.wait_members({"192.0.2.4"})
    check(not any("takes out" in line for line in world.daemon.log.since(mark)), "it was held a second time")


def test_bad_keys(case, keys):
    """What is no key stops the start, with file and line; a secret key is not shown."""
    with open(keys[0].path + ".sec") as file:
        secret = file.read().split("\n")[1]
    site = case.site()
    for value, message in (('"RWQ"', r'feed-key 1 \("RWQ'), (f'[ "{keys[0].text}", "{secret}" ]', "feed-key 2 .*secret key"),
                           (f'"{keys[0].text[:-1]}!"', "is not the 56 characters"), ("[]", "feed-key is empty")):
        site.pool_site(MIRRORS, pool={"feed": '"feed.json"', "feed_key": value})
        status, text = run([DNSD, "-c", site.path, "-t"])
        check_equal(status != 0, True, f"refused: {value}; {text}")
        check_line(text, rf"dnsd\.conf:\d+: .*{message}")
        check(secret not in text, f"a secret key is shown: {text}")
    site.pool_site(MIRRORS, pool={"feed_key": f'"{keys[0].text}"'})
    check_line(run([DNSD, "-c", site.path, "-t"])[1], r"dnsd\.conf:\d+: .*feed-key without feed")


def check_line(text, pattern):
    check(any(re.search(pattern, line) for line in text.splitlines()), f"no line /{pattern}/ in: {text}")
