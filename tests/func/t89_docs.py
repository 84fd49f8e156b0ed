"""The documents say what there is: commands, options, keys; their JSON parses, and their requests are answered."""
import json
import os
import re
import socket

from harness import DEADLINE_S, DNSD, DNSDCTL, TOP, check, check_equal, run, wait_until

MIRRORS = [(f"clamav{n}.{country}.example", country.upper(), [f"192.0.2.{i * 8 + n}"])
           for i, country in enumerate(("at", "de", "se")) for n in (1, 2, 3)]


def read(name):
    with open(os.path.join(TOP, "docs", name)) as file:
        return file.read()


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def help_text():
    status, text = run([DNSDCTL, "--help"])
    check_equal(status, 0, text)
    return text


def help_commands():
    """"mirror down|drain|up|auto NAME" is four of them."""
    commands = set()
    for match in re.finditer(r"^  ([a-z]+)(?: ([a-z|]+)(?= |$))?", help_text(), re.MULTILINE):
        follow = match[2].split("|") if match[2] else [""]
        commands.update(f"{match[1]} {word}".strip() for word in follow)
    return commands


def table(text, heading):
    """First cells of the rows of the table whose heading row begins so."""
    rows = text.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0].split("\n")[2:]
    return [row.split("|")[1] for row in rows]


def test_commands(case, _):
    """control.md lists the commands of dnsdctl --help, and no others."""
    found = {name for cell in table(read("control.md"), "command") for name in re.findall(r"`([^`]+)`", cell)}
    check_equal(sorted(found), sorted(help_commands()), "commands of control.md")


def test_options(case, _):
    """And its options."""
    want = set(re.findall(r"(?<![\w-])--?[a-z]+", help_text()))
    found = {name for cell in table(read("control.md"), "option") for name in re.findall(r"(?<![\w-])--?[a-z]+", cell)}
    check_equal(sorted(found), sorted(want), "options of control.md")


def test_examples_of_commands(case, _):
    """Every command line that is shown is one that is there."""
    commands = help_commands()
    firsts = {command.split()[0] for command in commands}
    for name in ("control.md", "operating.md", "journal.md", "feed.md", "config.md"):
        for line in re.findall(r"^    (?:\$ )?(?:.*\| )?dnsdctl (.*)", read(name), re.MULTILINE):
            words = re.sub(r"^(-[cs] \S+ |--json )*", "", line).split()
            shown = " ".join(words[:2]) if " ".join(words[:2]) in commands else words[0]
            check(shown in commands or (words[0] in firsts and words[0] in ("explain", "query")), f"{name}: dnsdctl {line}")


def test_json(case, _):
    """Blocks of JSON are one value, blocks of lines have one a line."""
    n = 0
    for name in sorted(os.listdir(os.path.join(TOP, "docs"))):
        if not name.endswith(".md"):
            continue
        text = read(name)
        values = blocks(text, "json") + [line for block in blocks(text, "jsonl") for line in block.splitlines()]
        for value in values:
            try:
                json.loads(value)
            except ValueError as problem:
                check(False, f"{name}: {problem} in {value}")
        n += len(values)
    check(n > 20, f"only {n} values found")


def test_records(case, _):
    """Examples of journal records have what all records have, and there is one of each type."""
    types = set()
    for block in blocks(read("journal.md"), "jsonl"):
        for line in block.splitlines():
            record = json.loads(line)
            check(isinstance(record["t"], int) and record["time"].endswith("Z"), line)
            types.add(record["type"])
    check_equal(types, {"base", "mirror", "name", "feed", "override"}, "types of records")


class Control:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(path)
        self.lines = self.sock.makefile("rw")

    def ask(self, line):
        self.lines.write(line + "\n")
        self.lines.flush()
        return json.loads(self.lines.readline())

    def close(self):
        self.lines.close()
        self.sock.close()


def control_site(case):
    site = case.site().pool_site(MIRRORS, pool={"feed": '"feed.json"', "feed-hold": '"1d"'},
                                 server='control = "control.sock"; state-directory = "state";')
    os.mkdir(site.file("state"))
    return site


def write_feed(site, serial, out):
    site.write("feed.json", json.dumps({"format": 1, "serial": serial, "monitor": "test",
                                        "excluded": [{"mirror": host, "reason": "unreachable"} for host, _, _ in out]}))


def test_requests(case, _):
    """Every request that is shown is answered, and well; the keys of the results are described."""
    text = read("control.md")
    site = control_site(case)
    write_feed(site, 1, MIRRORS[:1])
    daemon = case.daemon(site)
    control = Control(site.file("control.sock"))
    case.stack.callback(control.close)
    requests = [line for block in blocks(text, "jsonl") for line in block.splitlines()]
    check(len(requests) > 10, "requests in control.md")

    def hold(serial):
        write_feed(site, serial, MIRRORS)
        wait_until(lambda: control.ask('{"command": "status"}')["result"]["pools"][0]["feed-held"], "a feed is held")

    serial = 1
    for line in requests:
        line = line.replace("clamav.net", "clamav.test")
        if json.loads(line).get("action") in ("accept", "reject"):
            serial += 1
            write_feed(site, serial, [])
            daemon.log.wait(rf"feed serial {serial} in force")
            serial = json.loads(line).get("serial", serial + 1)
            hold(serial)
        if "at" in json.loads(line):
            now = control.ask('{"command": "explain", "name": "db.at.clamav.test"}')["result"]["time"]
            line = json.dumps(json.loads(line) | {"at": now})
        response = control.ask(line)
        check(response["ok"], f"{line}: {response}")
        missing = undescribed(response["result"], text)
        counters = json.loads(line)["command"] == "stats"
        check(counters or not missing, f"control.md says nothing of {missing} in the result of {line}")


def undescribed(value, text):
    """Keys of objects that the text does not have in code; not where keys are names of hosts, addresses, databases."""
    missing = set()
    if isinstance(value, list):
        for item in value:
            missing |= undescribed(item, text)
    if isinstance(value, dict):
        for key, item in value.items():
            if f"`{key}`" not in text:
                missing.add(key)
            if key not in ("databases", "addresses"):
                missing |= undescribed(item, text)
    return missing


def test_configuration_keys(case, _):
    """Every key of dnsd --print-defaults is in config.md."""
    status, reference = run([DNSD, "--print-defaults"])
    check_equal(status, 0, reference)
    keys = set(re.findall(r"^[# ]*([a-z][a-z0-9-]*)(?: =|: \{)", reference, re.MULTILINE))
    check({"control", "state-directory", "maintenance", "max-answers", "geo"} <= keys, f"keys of the reference: {keys}")
    text = read("config.md")
    missing = sorted(key for key in keys if f"`{key}`" not in text and not re.search(rf"^#+ {key}$", text, re.MULTILINE))
    check_equal(missing, [], "keys that config.md does not have")


def test_links(case, _):
    """Links between documents lead to files and headings that are there."""
    pages = {name: read(name) for name in os.listdir(os.path.join(TOP, "docs")) if name.endswith(".md")}

    def anchors(text):
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for name, text in pages.items():
        for page, anchor in re.findall(r"\]\(([\w.-]*\.md)?(?:#([\w-]+))?\)", text):
            check(not page or page in pages, f"{name}: {page}")
            check(not anchor or anchor in anchors(pages[page or name]), f"{name}: {page}#{anchor}")


def rows(text):
    """Cells of all rows of all tables but their headings."""
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        for line in block.splitlines()[2:]:
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def sources(folder, ending):
    """{module: its text} of the test files there."""
    path = os.path.join(TOP, "tests", folder)
    found = {}
    for name in os.listdir(path):
        if name.endswith(ending):
            with open(os.path.join(path, name)) as file:
                found[name.rsplit(".", 1)[0]] = file.read()
    return found


def test_named_tests(case, _):
    """Every test that rfc.md and failures.md name is there, and every row names one or says where to look."""
    functions, units = sources("func", ".py"), sources("unit", ".c")
    for page in ("rfc.md", "failures.md"):
        n = 0
        for cells in rows(read(page)):
            shown_by = cells[-1]
            named = re.findall(r"`(\w+)\.(\w+)`", shown_by)
            check(named or shown_by.startswith("see the tests of "), f"{page}: nothing shows | {' | '.join(cells)} |")
            for module, name in named:
                if module in functions:
                    there = re.search(rf"^def test_{name}\(", functions[module], re.MULTILINE)
                else:
                    there = re.search(rf"^static void test_{name}\(", units.get(module, ""), re.MULTILINE)
                check(there, f"{page}: there is no test {module}.{name}")
            n += 1
        check(n > 40, f"{page} has {n} rows")


def test_failures_numbered(case, _):
    """failures.md has the cases 1 to 40, each once and in order."""
    numbers = [cells[0] for cells in rows(read("failures.md")) if cells[0].isdigit()]
    check_equal(numbers, [str(n) for n in range(1, 41)], "numbers")


def test_functional_tests_listed(case, _):
    """tests/func/README.md has every file of tests, and no other."""
    with open(os.path.join(TOP, "tests", "func", "README.md")) as file:
        listed = {cell.strip(" `") for cell in table(file.read(), "file")}
    check_equal(sorted(listed), sorted(name for name in sources("func", ".py") if re.match(r"t\d\d_", name)), "tests in README.md")


def test_scripts_run(case, _):
    """What the Makefile or a reader calls by name, beginning with "#!", can be run."""
    folders = [os.path.join(TOP, folder) for folder in ("scripts", "contrib/nagios", "tests/func")]
    for path in (os.path.join(folder, name) for folder in folders for name in os.listdir(folder)):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                is_script = file.read(2) == b"#!"
            check(not is_script or os.access(path, os.X_OK), f"{path} begins with #!, but can't be run: chmod +x")
