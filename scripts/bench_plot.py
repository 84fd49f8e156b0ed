#!/usr/bin/python3
"""bench_plot.py RESULTS.json > bench.svg: answers a second over UDP of dnsd and its peers, as a share of the limit; bars, with quartiles."""
import json
import sys
from xml.sax.saxutils import escape

SERVERS = ("dnsd", "gdnsd", "knot", "nsd")
LABELS = {"dnsd": "dnsd", "gdnsd": "gdnsd", "knot": "Knot", "nsd": "NSD"}
KINDS = {"txt": "TXT current.cvd", "country": "A db.XY", "local": "A db.local, ECS", "nx": "NXDOMAIN", "mix": "mix"}
WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 64, 40
BAR, GAP = 26, 3

STYLE = """
	svg { color-scheme: light dark }
	text { font: 12px system-ui, sans-serif; fill: #24292f }
	.title { font-size: 15px; font-weight: 600 }
	.value { font-size: 10px }
	.grid { stroke: #d0d7de } .limit { stroke: #57606a; stroke-dasharray: 5 3 } .spread { stroke: #24292f }
	.dnsd { fill: #0969da } .gdnsd { fill: #57a87b } .knot { fill: #d4a72c } .nsd { fill: #a475c9 }
	@media (prefers-color-scheme: dark) {
		text { fill: #e6edf3 }
		.grid { stroke: #30363d } .limit { stroke: #8b949e } .spread { stroke: #e6edf3 }
		.dnsd { fill: #58a6ff } .gdnsd { fill: #3fb27f } .knot { fill: #d29922 } .nsd { fill: #bc8cff }
	}
"""


def tag(name, text=None, **values):
    words = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in values.items())
    return f"<{name}{words}/>" if text is None else f"<{name}{words}>{escape(text)}</{name}>"


def describe(udp):
    """What the bars say, for who can't see them."""
    rows = (f"{KINDS[kind]}: " + ", ".join(f"{LABELS[s]} {row[s]['ratio'][1]:.2f}" for s in SERVERS if s in row) for kind, row in udp.items())
    return "Share of the limit, 1.00 being all of it. " + "; ".join(rows) + "."


def bars(udp, y_of):
    """The groups, a kind of query each."""
    step = (WIDTH - LEFT - RIGHT) / len(udp)
    for i, (kind, row) in enumerate(udp.items()):
        here = [server for server in SERVERS if server in row]
        width = len(here) * (BAR + GAP) - GAP
        x = LEFT + step * i + (step - width) / 2
        yield tag("text", KINDS[kind], x=f"{LEFT + step * (i + 0.5):.1f}", y=HEIGHT - BOTTOM + 18, text_anchor="middle")
        for server in here:
            low, middle, high = row[server]["ratio"]
            yield tag("rect", class_=server, x=f"{x:.1f}", y=f"{y_of(middle):.1f}", width=BAR, height=f"{y_of(0) - y_of(middle):.1f}")
            centre = x + BAR / 2
            yield tag("line", class_="spread", x1=f"{centre:.1f}", x2=f"{centre:.1f}", y1=f"{y_of(low):.1f}", y2=f"{y_of(high):.1f}")
            yield tag("text", f"{middle:.2f}", class_="value", x=f"{centre:.1f}", y=f"{y_of(max(middle, high)) - 4:.1f}", text_anchor="middle")
            x += BAR + GAP


def plot(figures):
    udp = figures["udp"]
    top = max(1.1, *(one["ratio"][2] + 0.05 for row in udp.values() for server, one in row.items() if server != "limit"))

    def y_of(ratio):
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - ratio / top)
    title = "Answers a second on one core, as a share of what the kernel's sockets allow"
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
           'aria-labelledby="title desc">')
    yield tag("title", title, id="title")
    yield tag("desc", describe(udp), id="desc")
    yield f"<style>{STYLE}</style>"
    yield tag("text", title, class_="title", x=LEFT, y=22)
    x = LEFT
    for server in SERVERS:
        if any(server in row for row in udp.values()):
            name = f"{LABELS[server]} {figures['versions'].get(server, '')}".strip()
            yield tag("rect", class_=server, x=x, y=35, width=12, height=12)
            yield tag("text", name, x=x + 17, y=45)
            x += 35 + 7 * len(name)
    for step in range(0, 5):
        ratio = step / 4
        kind = "limit" if step == 4 else "grid"
        yield tag("line", class_=kind, x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y_of(ratio):.1f}", y2=f"{y_of(ratio):.1f}")
        yield tag("text", f"{ratio:.2f}", x=LEFT - 8, y=f"{y_of(ratio) + 4:.1f}", text_anchor="end")
    yield from bars(udp, y_of)
    yield "</svg>"


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: bench_plot.py RESULTS.json > bench.svg")
    with open(sys.argv[1]) as file:
        figures = json.load(file)
    print("\n".join(plot(figures)))


if __name__ == "__main__":
    main()
