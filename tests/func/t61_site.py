"""The status site: valid pages whose links resolve, read in a real browser with keyboard, phone and both themes."""
import contextlib
import functools
import glob
import html.parser
import http.server
import json
import os
import re
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree

from harness import DNSD, Failure, Skip, check, check_equal, need_program

WORLD = """# viewBox="0 0 1000 437" made up
CH	Switzerland	M487,107h12v6h-12z
DE	Germany	M485,80h20v24h-20z
LI	Liechtenstein	M500,107h2v3h-2z
NZ	New Zealand	M930,330h20v30h-20z
US	United States	M180,90h140v60h-140z
ZA	South Africa	M520,300h40v40h-40z
"""
PHONE = (390, 844)
WIDEST = ["index.html", "mirrors.html", "mirror/clamav.archive19.example.html"]
# Of Debian's tidy, which is older than ARIA 1.1, and takes the coloured keys of legends for leftovers.
TIDY_KNOWN = re.compile(r'proprietary attribute "aria-current"|trimming empty <span>')
VOID = {"meta", "link", "img", "br", "hr", "input", "area", "base", "col", "embed", "source", "track", "wbr"}


def setup(case):
    maker = os.path.join(os.path.dirname(os.path.dirname(DNSD)), "tests", "unit", "site_test")
    if not os.path.exists(maker):
        raise Skip(f"{maker} is not built (make unit)")
    folder = os.path.join(case.folder, "www")
    world = os.path.join(case.folder, "world.tsv")
    with open(world, "w", encoding="utf-8") as file:
        file.write(WORLD)
    subprocess.run([maker], env=dict(os.environ, DNSD_STATUS_SITE=f"{folder},40,{world}"), check=True, stdout=subprocess.DEVNULL,
                   timeout=120)
    return folder


def pages(folder):
    found = sorted(glob.glob(f"{folder}/**/*.html", recursive=True))
    check(len(found) == 4 + 40, f"{len(found)} pages")
    return found


def some_pages():
    """Each kind once; of mirrors one that is well, one that is not, and one that has never been checked."""
    return ["index.html", "mirrors.html", "versions.html", "how.html",
            *(f"mirror/clamav.{name}.example.html" for name in ("uni0", "mail9", "archive7", "archive19"))]


class Page(html.parser.HTMLParser):
    """What can be seen of a page without a browser."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.tags, self.ids, self.links, self.faults = [], [], [], []
        self.open = []
        with open(path, encoding="utf-8") as file:
            self.feed(file.read())
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append((tag, values))
        if "id" in values:
            self.ids.append(values["id"])
        self.links += [values[key] for key in ("href", "src") if key in values]
        for key in values:
            if key.startswith("on") or key == "style":
                self.faults.append(f"<{tag} {key}>")
        if tag in ("script", "iframe", "object", "form"):
            self.faults.append(f"<{tag}>")
        if tag == "th" and values.get("scope") not in ("col", "row", "rowgroup"):
            self.faults.append("<th> without scope")
        if tag == "svg" and not values.get("aria-label") and values.get("aria-hidden") != "true":
            self.faults.append("<svg> that says nothing")
        if tag == "img" and not values.get("alt"):
            self.faults.append("<img> without alt")
        if tag == "time" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", values.get("datetime", "")):
            self.faults.append(f"<time {values}>")
        if self.open and self.open[-1] == "table" and tag != "caption":
            self.faults.append("<table> that does not begin with a caption")
        if self.open and self.open[-1] == "table":
            self.open[-1] = "table with caption"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1].split()[0] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1:]}")
        else:
            self.open.pop()

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


def test_tidy_finds_nothing(case, folder):
    tidy = need_program("tidy")
    for page in pages(folder):
        said = subprocess.run([tidy, "-q", "-e", "-utf8", page], capture_output=True, text=True, timeout=60, check=False).stderr
        unknown = [line for line in said.splitlines() if not TIDY_KNOWN.search(line)]
        check(not unknown, f"{page}: {unknown[:3]}")


def test_pages_are_whole_and_links_lead_somewhere(case, folder):
    parsed = {page: Page(page) for page in pages(folder)}
    for path, page in parsed.items():
        check_equal(page.faults, [], path)
        check_equal(page.open, [], f"{path}: left open")
        check_equal(len(page.ids), len(set(page.ids)), f"{path}: ids")
        check_equal(page.tags[0], ("html", {"lang": "en"}), path)
        for tag in ("h1", "main", "header", "footer", "nav", "title"):
            check_equal(page.count(tag), 1, f"{path}: <{tag}>")
        for link in page.links:
            if link.startswith("http://clamav."):
                continue
            target, _, fragment = link.partition("#")
            file = os.path.normpath(os.path.join(os.path.dirname(path), urllib.parse.unquote(target))) if target else path
            check(file.startswith(folder) and os.path.isfile(file), f"{path}: {link} leads nowhere")
            if fragment:
                check(fragment in parsed[file].ids, f"{path}: {link} leads to no place")


def test_every_mirror_has_its_row_with_its_state(case, folder):
    with open(f"{folder}/pool.json", encoding="utf-8") as file:
        pool = json.load(file)
    with open(f"{folder}/mirrors.html", encoding="utf-8") as file:
        rows = dict(re.findall(r'<th scope="row"><a href="mirror/([^"]+)\.html">.*?data-label="State">(.*?)</td>', file.read(), re.S))
    check_equal(len(rows), len(pool["mirrors"]), "rows")
    for mirror in pool["mirrors"]:
        row = rows[mirror["host"]]
        check(f'>{mirror["state"]}</span>' in row, f"{mirror['host']}: {row}")
        if mirror["reason"] and mirror["state"] in ("out", "partly out", "probation", "warned"):
            check(mirror["reason"] in row and mirror["since"] in row, f"{mirror['host']}: {row}")
    states = {mirror["state"] for mirror in pool["mirrors"]}
    check_equal(states, {"OK", "late", "warned", "out", "partly out", "probation", "maintenance", "unchecked"}, "states")


def test_year(case, folder):
    """A mirror's page has its year, in words too: for a screen reader, and for who sees no colours."""
    for name, has_year in (("uni0", True), ("archive19", False)):
        page = Page(f"{folder}/mirror/clamav.{name}.example.html")
        labels = [values["aria-label"] for tag, values in page.tags if tag == "svg" and "aria-label" in values]
        year = [label for label in labels if label.startswith("Availability by weeks in the last year. ")]
        check_equal(len(year), has_year, f"{name}: {labels}")
        for label in year:
            said = re.search(r"\. (\d+\.\d\d % of \d+ checks in 52 weeks were good; in the worst week, from \d{4}-\d\d-\d\d on, .* %\.)$", label)
            with open(page.path, encoding="utf-8") as file:
                check(said and f"<p>{said[1]}</p>" in file.read(), label)


def test_feed_and_pictures_are_xml(case, folder):
    atom = xml.etree.ElementTree.parse(f"{folder}/events.atom").getroot()
    space = "{http://www.w3.org/2005/Atom}"
    check_equal(atom.tag, f"{space}feed", "root")
    entries = atom.findall(f"{space}entry")
    check(entries, "no entries")
    ids = {entry.findtext(f"{space}id") for entry in entries}
    check_equal(len(ids), len(entries), "ids")
    for entry in entries:
        check(all(entry.findtext(f"{space}{tag}") for tag in ("title", "updated", "content")), xml.etree.ElementTree.tostring(entry))
    for picture in [*glob.glob(f"{folder}/*.svg"), *glob.glob(f"{folder}/mirror/*.svg")]:
        check_equal(xml.etree.ElementTree.parse(picture).getroot().tag, "{http://www.w3.org/2000/svg}svg", picture)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


class Browser:
    """Chromium by chromedriver's HTTP API (WebDriver), and the site on a server of its own."""

    def __init__(self, case, folder):
        driver, chromium = need_program("chromedriver"), need_program("chromium")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
        case.stack.callback(server.server_close)
        case.stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{server.server_port}/"
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        case.stack.callback(self.end)
        self.session = None
        for line in self.process.stdout:
            started = re.search(r"started successfully on port (\d+)", line)
            if started:
                break
        else:
            raise Failure("chromedriver has ended")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.url = f"http://127.0.0.1:{started[1]}/session"
        options = {"binary": chromium,
                   "args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
                            "--disable-background-networking", "--disable-component-update", "--disable-sync",
                            "--disable-dev-shm-usage", f"--user-data-dir={case.folder}/chromium", "--window-size=1280,900"]}
        answer = self.call("POST", "", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.session = answer["sessionId"]

    def end(self):
        with contextlib.suppress(OSError):
            if self.session:
                self.call("DELETE", "", None)
        self.process.terminate()
        self.process.wait(20)

    def call(self, method, path, data):
        url = self.url + (f"/{self.session}" if self.session else "") + path
        request = urllib.request.Request(url, method=method, data=None if data is None else json.dumps(data).encode(),
                                         headers={"Content-Type": "application/json"})
        try:
            with self.opener.open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise Failure(f"{path}: {error.read().decode()[:300]}") from None

    def post(self, path, **data):
        return self.call("POST", path, data)

    def show(self, page):
        self.post("/url", url=self.base + page)

    def run(self, script, *arguments):
        return self.post("/execute/sync", script=script, args=list(arguments))

    def devtools(self, command, **parameters):
        return self.post("/goog/cdp/execute", cmd=command, params=parameters)

    def press(self, key):
        self.post("/actions", actions=[{"type": "key", "id": "keys", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}])

    def said(self):
        """What it wrote to its console since it was asked last."""
        return [entry["message"] for entry in self.post("/se/log", type="browser")]

    def theme(self, name):
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def size(self, width, height, phone=False):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)


# Contrast of each text with what is behind it (WCAG 2.2, 1.4.3): the worst, and its text.
CONTRAST = """
function parts(color) { return color.match(/[\\d.]+/g).map(Number); }
function light(color) {
    const [r, g, b] = parts(color).map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function behind(element) {
    for (; element; element = element.parentElement) {
        const color = getComputedStyle(element).backgroundColor;
        if (parts(color).length < 4 || parts(color)[3] === 1) return color;
    }
    return "rgb(255, 255, 255)";
}
let worst = [99, ""], n = 0;
for (const element of document.body.querySelectorAll("*")) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    const style = getComputedStyle(element);
    const text = light(element instanceof SVGElement ? style.fill : style.color), back = light(behind(element));
    const contrast = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
    n++;
    if (contrast < worst[0]) worst = [contrast, element.outerHTML.slice(0, 120)];
}
return [n, ...worst, getComputedStyle(document.body).backgroundColor];
"""


def test_browser(case, folder):
    browser = Browser(case, folder)
    keyboard(browser)
    for theme, background in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 26)")):
        browser.theme(theme)
        for page in some_pages():
            browser.show(page)
            texts_n, contrast, worst, body = browser.run(CONTRAST)
            check_equal(body, background, f"{page}: background, {theme}")
            check(texts_n > 20 and contrast >= 4.5, f"{page}, {theme}: contrast {contrast:.2f} of {worst}")
    for width, height, phone, shown in ((*PHONE, True, some_pages()), (320, 600, True, [*WIDEST, "mirror/clamav.uni0.example.html"]), (768, 1024, False, WIDEST)):
        browser.size(width, height, phone)
        for page in shown:
            browser.show(page)
            wide = browser.run("return [document.documentElement.scrollWidth, innerWidth, "
                               "...[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll,pre,.skip') && "
                               "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 100))]")
            check(wide[0] <= width and wide[1:] == [width], f"{page} at {width}: {wide}")
    check_equal(browser.said(), [], "console")
    without_scripts(browser)


def keyboard(browser):
    """The order of focus is that of the page, each stop can be seen, and the skip link skips."""
    focused = ("const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();"
               "return [e.textContent.trim() || e.id, s.outlineStyle, parseFloat(s.outlineWidth), r.left >= 0 && r.top >= 0 && r.width > 0]")
    browser.show("mirrors.html")
    stops = []
    for _ in range(9):
        browser.press("\ue004")  # Tab
        text, style, width, visible = browser.run(focused)
        stops.append(text)
        check(style == "solid" and width >= 2 and visible, f"focus on {text!r}: {style} {width} {visible}")
    check_equal(stops[:7], ["Skip to the content", "Overview", "Mirrors", "Databases", "How it is decided", "Databases",
                            "How it is decided"], "order of focus")
    check(stops[7].startswith("Mirrors by country"), f"the table's own container: {stops[7]!r}")
    check(stops[8].startswith("clamav."), f"first link of the table: {stops[8]!r}")
    browser.show("mirrors.html")
    browser.press("\ue004")
    browser.press("\ue007")  # Enter
    check(browser.run("return location.hash") == "#main", "the skip link does not skip")
    browser.press("\ue004")
    check_equal(browser.run(focused)[0], "Databases", "first stop behind the skip link")


def without_scripts(browser):
    """Not a pixel depends on JavaScript."""
    browser.size(1280, 900)
    for page in WIDEST:
        browser.show(page)
        with_scripts = browser.call("GET", "/screenshot", None)
        browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
        browser.show(page)
        without = browser.call("GET", "/screenshot", None)
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
        check(len(without) > 10000 and with_scripts == without, f"{page} looks different without JavaScript")
