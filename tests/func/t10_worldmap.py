"""The world map of the status site (docs/design.md, "World map"): build/world.tsv, what draws it, what sets that up."""
import os
import re
import shutil

from harness import TOP, Skip, check, check_equal, need_program, run

MAP = os.path.abspath(os.environ.get("WORLD_TSV") or os.path.join(TOP, "build", "world.tsv"))
SCRIPT = os.path.join(TOP, "scripts", "worldmap.mjs")
PACKAGES = os.path.join(TOP, "scripts", "worldmap", "node_modules")
DOT = 4  # units: nothing is smaller than that in both directions
# Codes without a place of their own, and places where nobody lives.
NOT_DRAWN = ["AC", "AP", "AQ", "BV", "EU", "SU", "UK", "UM"]


class Map:
    def __init__(self, text):
        check(text.endswith("\n"), "the last line has no end")
        head, *lines = text[:-1].split("\n")
        found = re.fullmatch(r'# viewBox="0 0 (\d+) (\d+)" projection="Robinson[^"]*" source="Natural Earth [^"]+"',
                             head)
        check(found, f"first line: {head}")
        self.width, self.height = int(found[1]), int(found[2])
        self.rows = []
        for line in lines:
            cells = line.split("\t")
            check_equal(len(cells), 3, f"cells of {line[:60]}")
            self.rows.append(cells)
        self.rings = {code: parse_path(path, code) for code, _, path in self.rows}

    def box(self, code):
        """West, north, east, south in tenths of a unit."""
        points = [point for ring in self.rings[code] for point in ring]
        xs, ys = zip(*points)
        return min(xs), min(ys), max(xs), max(ys)


def tenths(text):
    whole, _, digit = text.lstrip("-").partition(".")
    value = int(whole) * 10 + int(digit or 0)
    return -value if text.startswith("-") else value


def parse_path(path, code):
    """Rings of points, in tenths of a unit; Failure where SVG would see something else than this does."""
    rings, at, place, command = [], 0, None, None
    token = re.compile(r"([MLmlZz])|(-?\d+(?:\.\d)?),(-?\d+(?:\.\d)?)(?=[ MLmlZz])")
    while at < len(path):
        found = token.match(path, at)
        check(found, f"{code}: path is not understood at {path[at:at + 20]!r}, character {at}")
        at = found.end()
        if found[1]:
            command = found[1]
            if command in "Zz":
                check(rings and len(rings[-1]) >= 3, f"{code}: a ring of fewer than three points before character {at}")
                place = rings[-1][0]
            elif command in "Mm":
                check(not rings or path[at - 2] in "Zz", f"{code}: a ring is not closed before character {at}")
                rings.append([])
            else:
                check(rings and rings[-1], f"{code}: a line from nowhere at character {at}")
            continue
        check(command and command not in "Zz", f"{code}: numbers without a command at character {at}")
        step = (tenths(found[2]), tenths(found[3]))
        if command in "ml" and place is not None:
            step = (place[0] + step[0], place[1] + step[1])
        place = step
        rings[-1].append(place)
        if path[at] == " ":
            at += 1
            check(re.match(r"[-\d]", path[at:at + 1]), f"{code}: a blank that parts nothing at character {at}")
    check(rings and path[-1] in "Zz", f"{code}: the last ring is not closed")
    return rings


def area(ring):
    return sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in zip(ring, ring[1:] + ring[:1])) / 2


def pairs(text):
    return [pair.split("-") for pair in text.split()]


def read(*names):
    with open(os.path.join(TOP, *names), encoding="utf-8") as file:
        return file.read()


def setup(case):
    if not os.path.exists(MAP):
        return None
    with open(MAP, encoding="utf-8", newline="") as file:
        return Map(file.read())


def need_map(world):
    if world is None:
        raise Skip("no world map was built; make map draws it (needs node and npm)")


def test_codes(case, world):
    """Sorted, each once, and just the codes that the pools know; a name to each."""
    need_map(world)
    codes = [code for code, _, _ in world.rows]
    check_equal(codes, sorted(set(codes)), "codes, sorted, each once")
    tables = re.findall(r"static const char \w+\[\] =([^;]+);", read("zones", "pool", "country.c"))
    known = set(re.findall(r"\b[A-Z]{2}\b", " ".join(tables)))
    regions = re.sub(r"#.*", "", read("contrib", "clamav.net", "regions.conf"))
    known.update(re.findall(r'"([A-Z]{2})"', regions))
    check(len(known) > 240, f"only {len(known)} codes found in country.c and regions.conf")
    check_equal(sorted(set(codes) - known), [], "codes that no pool knows")
    check_equal(sorted(known - set(codes)), NOT_DRAWN, "codes that are not drawn")
    for code in "DE FR US CN SG HK MT LU LI BH XK CY SO".split():
        check(code in codes, f"{code} is not drawn")
    names = [name for _, name, _ in world.rows]
    check_equal(len(set(names)), len(names), "names, each once")
    odd = [name for name in names if not re.fullmatch(r"[^\W\d_][\w .,()'-]{2,43}", name)]
    check_equal(odd, [], "names that are none")


def test_paths(case, world):
    """Every point is in the view box, every ring has an area, and the whole is as large as a page can bear."""
    need_map(world)
    for code, _, _ in world.rows:
        west, north, east, south = world.box(code)
        check(0 <= west and east <= world.width * 10 and 0 <= north and south <= world.height * 10,
              f"{code} leaves the view box: {world.box(code)}")
        flat = [ring for ring in world.rings[code] if area(ring) == 0]
        check_equal(flat, [], f"{code}: rings without an area")
    size = os.path.getsize(MAP)
    check(120_000 <= size <= 200_000, f"{size} bytes")


def test_places(case, world):
    """Countries are where they are, so what was split, merged and projected is not upside down or elsewhere."""
    need_map(world)
    centre = {}
    for code, _, _ in world.rows:
        west, north, east, south = world.box(code)
        centre[code] = ((west + east) / 2, (north + south) / 2)
    for west, east in pairs("US-DE PT-ES FR-DE DE-RU GF-FR BQ-NL IE-GB SA-IN CN-JP CX-AU YT-RE AU-NZ"):
        check(centre[west][0] < centre[east][0], f"{west} is not west of {east}")
    for north, south in pairs("CA-US DE-IT SJ-NO CN-SG BR-AR EG-ZA ID-AU PH-TL UA-TR"):
        check(centre[north][1] < centre[south][1], f"{north} is not north of {south}")
    largest = sorted(centre, key=lambda code: -sum(area(ring) for ring in world.rings[code]))
    check_equal(sorted(largest[:6]), ["AU", "BR", "CA", "CN", "RU", "US"], "the six largest")
    width = {code: world.box(code)[2] - world.box(code)[0] for code in ("FR", "NL", "RU")}
    check(width["FR"] < 400 and width["NL"] < 100, f"FR and NL still have parts overseas: {width}")
    check(width["RU"] < 6000, f"RU is cut by the edge of the map: {width}")
    check(world.box("UA")[3] > world.box("RO")[3] - 30, f"UA ends north of Crimea: {world.box('UA')}")


def test_seen(case, world):
    """Small countries are dots that can be seen and clicked, and none covers another."""
    need_map(world)
    dots = {}
    for code, _, _ in world.rows:
        ring = max(world.rings[code], key=lambda ring: abs(area(ring)))
        xs, ys = zip(*ring)
        size = max(max(xs) - min(xs), max(ys) - min(ys))
        check(size >= DOT * 10 - 2, f"{code} is only {size / 10} units large")
        if len(ring) == 8 and abs(max(xs) - min(xs) - DOT * 10) <= 1 and abs(max(ys) - min(ys) - DOT * 10) <= 1:
            dots[code] = ((max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2)
    for code in "SG HK MT LU LI BH MC SM VA GI TV".split():
        check(code in dots, f"{code} is no dot")
    covered = [(a, b) for a, (ax, ay) in dots.items() for b, (bx, by) in dots.items()
               if a < b and (ax - bx) ** 2 + (ay - by) ** 2 < (DOT * 10) ** 2]
    check_equal(covered, [], "dots that cover each other")


def test_redraw(case, world):
    """Drawn again, and again, the bytes are the same."""
    need_map(world)
    node = need_program("node")
    if not os.path.exists(PACKAGES):
        raise Skip("the packages that draw the map are not installed; scripts/setup.sh map installs them")
    with open(MAP, "rb") as file:
        want = file.read()
    for name in ("one.tsv", "two.tsv"):
        path = os.path.join(case.folder, name)
        status, text = run([node, SCRIPT, path])
        check_equal((status, text), (0, ""), f"worldmap.mjs {name}")
        with open(path, "rb") as file:
            check(file.read() == want, f"{name} is not what was built")
    check_equal(sorted(os.listdir(case.folder)), ["one.tsv", "two.tsv"], "files")


def copy_of_scripts(case, *names):
    """A tree with these scripts and the list of packages, none of them installed."""
    scripts = os.path.join(case.folder, "scripts")
    os.makedirs(os.path.join(scripts, "worldmap"))
    for name in (*names, os.path.join("worldmap", "package.json")):
        shutil.copy(os.path.join(TOP, "scripts", name), os.path.join(scripts, name))
    return scripts


def test_packages(case, world):
    """Without its packages, and with others than it names, it says what to do and writes nothing."""
    node = need_program("node")
    scripts = copy_of_scripts(case, "worldmap.mjs")
    path = os.path.join(case.folder, "world.tsv")
    command = [node, os.path.join(scripts, "worldmap.mjs"), path]
    wanted = re.search(r'"d3-geo": "([\d.]+)"', read("scripts", "worldmap", "package.json"))[1]
    expected = "worldmap.mjs: needs d3-geo {}, found {}; run scripts/setup.sh map\n"
    check_equal(run(command), (1, expected.format(wanted, "none")), "without packages")
    folder = os.path.join(scripts, "worldmap", "node_modules", "d3-geo")
    os.makedirs(folder)
    with open(os.path.join(folder, "package.json"), "w") as file:
        file.write('{"version": "1.0.0"}')
    check_equal(run(command), (1, expected.format(wanted, "1.0.0")), "with an old package")
    check(not os.path.exists(path), "a map was written")
    status, text = run([node, os.path.join(scripts, "worldmap.mjs")])
    check_equal((status, text), (1, "worldmap.mjs: usage: worldmap.mjs FILE\n"), "without a file name")


FAKE_NPM = """#!/bin/sh
echo "$@" >>{log}
[ ! -e {offline} ] || exit 7
mkdir -p node_modules
"""


def test_setup(case, world):
    """setup.sh map asks npm once, and again only when the list has changed or npm has failed."""
    scripts = copy_of_scripts(case, "setup.sh")
    log, offline, programs = (os.path.join(case.folder, name) for name in ("log", "offline", "programs"))
    os.mkdir(programs)
    for name, text in (("npm", FAKE_NPM.format(log=log, offline=offline)), ("node", "#!/bin/sh\n")):
        path = os.path.join(programs, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o755)
    env = dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}")
    command = [os.path.join(scripts, "setup.sh"), "map"]

    def asked():
        if not os.path.exists(log):
            return 0
        with open(log) as file:
            return len(file.read().split("\n")) - 1

    open(offline, "w").close()
    status, text = run(command, env=env)
    check_equal((status, asked()), (1, 1), f"offline, nothing installed: {text}")
    check("npm could not install" in text, text)
    os.remove(offline)
    status, text = run(command, env=env)
    check_equal((status, asked()), (0, 2), f"online: {text}")
    with open(log) as file:
        check("install --no-audit --no-fund --ignore-scripts --no-package-lock" in file.read(), "options of npm")
    open(offline, "w").close()
    check_equal((run(command, env=env), asked()), ((0, ""), 2), "when everything is in place")
    with open(os.path.join(scripts, "worldmap", "package.json"), "a") as file:
        file.write("\n")
    status, text = run(command, env=env)
    check_equal((status, asked()), (1, 3), f"with another list: {text}")
