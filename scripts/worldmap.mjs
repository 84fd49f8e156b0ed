#!/usr/bin/env node
// worldmap.mjs FILE: draw the world map of the status site, one SVG path per country.
//
// Source: Natural Earth 1:50m (public domain) as npm's world-atlas has it. Packages: scripts/worldmap/package.json, installed by
// scripts/setup.sh map. The same packages give the same bytes. Format and rules: docs/design.md, "World map".
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const WIDTH = 1000; // of the view box, in units of the map; its height follows
const MARGIN = 3; // more than the radius of a dot, which can stand at the edge
const MIN_SIZE = 4; // what fits into a square of this side becomes a dot that fills it
const MIN_TRIANGLE = 0.2; // square units: points whose triangle with their neighbours is smaller are left out
const MIN_ISLAND = 0.5; // square units: smaller islands and holes are left out, but for a country's largest
// The edges of the map are at 169 W, in the Bering Strait: no country of some size is cut.
const CENTRE_LON = 11;

// Natural Earth draws who holds what; geo databases and DNS know ISO 3166. Where the two differ, the code that clients from
// there are given decides, so that the colour of a place says how its clients are served.
const CODE_OF_NAME = {
	Kosovo: "XK", // user-assigned, but in every geo database
	"N. Cyprus": "CY", // no code of its own: ISO 3166-2 has its districts under CY
	Somaliland: "SO", // no code of its own: ISO 3166-2 has its regions under SO
	"Indian Ocean Ter.": "CX", // Christmas Island; the Cocos Islands are taken out below
	"Siachen Glacier": null, // claimed by IN and PK, nobody lives there: a gap between the two
	Antarctica: null,
};

// Parts of other countries in Natural Earth: [from, to, west, south, east, north]. Polygons whose centre is inside are moved.
const MOVED_PARTS = [
	["FR", "GF", -55, 2, -51, 6],
	["FR", "GP", -62, 15.8, -60.9, 16.6],
	["FR", "MQ", -61.3, 14.3, -60.7, 15],
	["FR", "RE", 55, -22, 56, -20],
	["FR", "YT", 44.9, -13.1, 45.4, -12.6],
	["NL", "BQ", -69, 12, -68, 12.5],
	["NL", "BQ", -63.3, 17.4, -62.9, 17.7],
	["NO", "SJ", -9.5, 70.5, -7.5, 71.5],
	["NO", "SJ", 10, 74, 34, 81],
	["NZ", "TK", -173, -10, -171, -8],
	["CX", "CC", 96, -13, 97.5, -11],
	["RU", "UA", 32, 44, 37, 46.5], // Crimea: ISO 3166-2 has it under UA, as geo databases do
];

// Too small for the source: [code, longitude, latitude].
const DOTS_ONLY = [
	["GI", -5.35, 36.14],
	["TV", 179.2, -8.52],
];

// Where the package's short name is none that an English reader would look for.
const NAMES = {
	AE: "United Arab Emirates",
	AX: "Åland Islands",
	BQ: "Caribbean Netherlands",
	CD: "Democratic Republic of the Congo",
	CG: "Republic of the Congo",
	FK: "Falkland Islands",
	FM: "Micronesia",
	GB: "United Kingdom",
	GM: "Gambia",
	KR: "South Korea",
	LA: "Laos",
	MD: "Moldova",
	MF: "Saint Martin",
	NL: "Netherlands",
	SX: "Sint Maarten",
	TR: "Türkiye",
	VA: "Vatican City",
	VG: "British Virgin Islands",
	VI: "U.S. Virgin Islands",
};

function fail(text) {
	console.error(`worldmap.mjs: ${text}`);
	process.exit(1);
}

const manifestUrl = new URL("./worldmap/package.json", import.meta.url);
const manifest = JSON.parse(readFileSync(manifestUrl, "utf8"));
const requirePackage = createRequire(manifestUrl);

function packageFile(name, file) {
	return new URL(`./worldmap/node_modules/${name}/${file}`, import.meta.url);
}

// Another version draws another map: better none than one that differs from everybody else's.
function checkPackages() {
	for (const [name, wanted] of Object.entries({ ...manifest.dependencies, ...manifest.overrides })) {
		let found = "none";
		try {
			found = JSON.parse(readFileSync(packageFile(name, "package.json"), "utf8")).version;
		} catch {
			// none
		}
		if (found !== wanted) fail(`needs ${name} ${wanted}, found ${found}; run scripts/setup.sh map`);
	}
}

/** The countries of the source as code -> polygons, each a list of rings of arc numbers. */
function collectCountries(atlas, iso, { mergeArcs, feature }, geoCentroid) {
	const countries = new Map();
	const merged = new Set();
	const add = (code, polygons) => {
		if (countries.has(code)) merged.add(code);
		countries.set(code, [...(countries.get(code) ?? []), ...polygons]);
	};
	for (const geometry of atlas.objects.countries.geometries) {
		const name = geometry.properties.name;
		const code = name in CODE_OF_NAME ? CODE_OF_NAME[name] : iso.numericToAlpha2(geometry.id);
		if (code === undefined) fail(`"${name}" has no code; give it one in CODE_OF_NAME`);
		if (code !== null) add(code, geometry.type === "Polygon" ? [geometry.arcs] : geometry.arcs);
	}
	for (const [from, to, west, south, east, north] of MOVED_PARTS) {
		const isInside = (polygon) => {
			const [lon, lat] = geoCentroid(feature(atlas, { type: "Polygon", arcs: polygon }));
			return west <= lon && lon <= east && south <= lat && lat <= north;
		};
		const polygons = countries.get(from);
		const moved = polygons.filter(isInside);
		if (moved.length === 0) fail(`nothing of ${from} is where ${to} should be; see MOVED_PARTS`);
		countries.set(from, polygons.filter((polygon) => !moved.includes(polygon)));
		add(to, moved);
	}
	// No line where two parts of a country meet.
	for (const code of merged) {
		const whole = { type: "MultiPolygon", arcs: countries.get(code) };
		countries.set(code, mergeArcs(atlas, [whole]).arcs);
	}
	return countries;
}

const cross = ([ax, ay], [bx, by], [cx, cy]) => (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);

/** Shoelace formula; positive is clockwise on the screen. */
function ringArea(ring) {
	let sum = 0;
	ring.forEach(([x, y], i) => {
		const [nextX, nextY] = ring[(i + 1) % ring.length];
		sum += x * nextY - nextX * y;
	});
	return sum / 2;
}

function boundsOf(points) {
	const xs = points.map(([x]) => x);
	const ys = points.map(([, y]) => y);
	return { west: Math.min(...xs), east: Math.max(...xs), north: Math.min(...ys), south: Math.max(...ys) };
}

const sizeOf = ({ west, east, north, south }) => Math.max(east - west, south - north);

/** Rings of a geometry on the map, cut at its edges; closing points are left out. */
function projectRings(geometry, projection, geoStream) {
	const rings = [];
	let ring;
	geoStream(geometry, projection.stream({
		polygonStart() {},
		polygonEnd() {},
		lineStart: () => (ring = []),
		point: (x, y) => ring.push([x, y]),
		lineEnd: () => rings.push(ring),
	}));
	return rings;
}

/** In tenths of a unit, without points that fall together; empty when nothing is left to be seen. */
function roundRing(ring) {
	const points = ring.map(([x, y]) => [Math.round(x * 10), Math.round(y * 10)]);
	const apart = points.filter(([x, y], i) => {
		const [lastX, lastY] = points.at(i - 1);
		return x !== lastX || y !== lastY;
	});
	return apart.length >= 3 && ringArea(apart) !== 0 ? apart : [];
}

/** A circle, or what one needs of it at this size. */
function dotRing([x, y]) {
	const radius = MIN_SIZE / 2;
	const ring = [];
	for (let i = 0; i < 8; i++) {
		const angle = (i * Math.PI) / 4;
		ring.push([x + radius * Math.cos(angle), y + radius * Math.sin(angle)]);
	}
	return ring;
}

const distance = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by);

/** Where a country has its dot: in the middle of its largest piece, when that is too small to be found. Else null. */
function dotCentre(rings) {
	const largest = rings.reduce((a, b) => (Math.abs(ringArea(b)) > Math.abs(ringArea(a)) ? b : a));
	const box = boundsOf(largest);
	return sizeOf(box) < MIN_SIZE ? [(box.west + box.east) / 2, (box.north + box.south) / 2] : null;
}

/** What is drawn beside the dot, if there is one. What the dot touches is part of it: nothing is drawn twice. */
function selectRings(rings, centre) {
	const isApart = (ring) => centre === null || ring.every((point) => distance(point, centre) > MIN_SIZE / 2);
	return rings.filter((ring) => Math.abs(ringArea(ring)) >= MIN_ISLAND && isApart(ring));
}

/** Push dots apart until none covers another: in the Caribbean there are four in the room of one. */
function separateDots(centres) {
	const dots = centres.map((centre) => [...centre]);
	const apart = MIN_SIZE + 0.2; // and rounding
	for (let rounds = 0; rounds < 1000; rounds++) {
		let pushed = false;
		dots.forEach((a, i) => {
			for (const b of dots.slice(i + 1)) {
				const length = distance(a, b);
				if (length >= apart) continue;
				if (length === 0) fail("two dots are at the same place");
				pushed = true;
				// A little more than is missing, so that it comes to an end.
				const push = (apart - length) / 2 + 0.01;
				const [stepX, stepY] = [((b[0] - a[0]) / length) * push, ((b[1] - a[1]) / length) * push];
				a[0] -= stepX;
				a[1] -= stepY;
				b[0] += stepX;
				b[1] += stepY;
			}
		});
		if (!pushed) return dots;
	}
	fail("the dots do not come apart; is MIN_SIZE too large?");
}

const tenths = (n) => String(n / 10);

/** M with a place on the map, l with steps from point to point: shorter than places, and exact as all are whole tenths. */
function pathOf(rings) {
	return rings.map((ring) => {
		const steps = ring.slice(1).map(([x, y], i) => `${tenths(x - ring[i][0])},${tenths(y - ring[i][1])}`);
		return `M${tenths(ring[0][0])},${tenths(ring[0][1])}l${steps.join(" ")}z`;
	}).join("");
}

async function draw() {
	checkPackages();
	const topojson = requirePackage("topojson-client");
	const { presimplify, simplify } = requirePackage("topojson-simplify");
	const iso = requirePackage("i18n-iso-countries");
	const { geoArea, geoCentroid, geoStream } = await import(pathToFileURL(requirePackage.resolve("d3-geo")));
	const { geoRobinson } = await import(pathToFileURL(requirePackage.resolve("d3-geo-projection")));

	const atlas = JSON.parse(readFileSync(packageFile("world-atlas", "countries-50m.json"), "utf8"));
	const countries = collectCountries(atlas, iso, topojson, geoCentroid);

	const whole = { type: "MultiPolygon", arcs: [...countries.values()].flat() };
	// Precision 0: d3 adds no points along great circles; borders are dense enough.
	const projection = geoRobinson().rotate([-CENTRE_LON, 0]).precision(0);
	projection.fitWidth(WIDTH - 2 * MARGIN, topojson.feature(atlas, whole));
	const [x, y] = projection.translate();
	projection.translate([x + MARGIN, y + MARGIN]);

	// What a point is worth is decided on the map, not on the globe, and by arc: neighbours keep one border.
	const triangleOnMap = (triangle) => Math.abs(cross(...triangle.map((point) => projection(point.slice(0, 2))))) / 2;
	const simple = simplify(presimplify(atlas, triangleOnMap), MIN_TRIANGLE);

	const shapes = new Map();
	for (const [code, polygons] of countries) {
		const rings = [];
		for (const arcs of polygons) {
			const { geometry } = topojson.feature(simple, { type: "Polygon", arcs });
			// A small ring can fold over and would then mean everything but itself.
			if (geoArea(geometry) < 2 * Math.PI) rings.push(...projectRings(geometry, projection, geoStream));
		}
		// All of its rings may have folded: then its place is enough.
		if (!rings.some((ring) => roundRing(ring).length)) {
			rings.push([projection(geoCentroid(topojson.feature(atlas, { type: "MultiPolygon", arcs: polygons })))]);
		}
		shapes.set(code, rings);
	}
	for (const [code, lon, lat] of DOTS_ONLY) shapes.set(code, [[projection([lon, lat])]]);

	const codes = [...shapes.keys()].sort();
	const centres = new Map(codes.map((code) => [code, dotCentre(shapes.get(code))]));
	const dotted = codes.filter((code) => centres.get(code) !== null);
	const dots = separateDots(dotted.map((code) => centres.get(code)));

	let height = 0;
	const lines = codes.map((code) => {
		const rings = selectRings(shapes.get(code), centres.get(code));
		if (dotted.includes(code)) rings.unshift(dotRing(dots[dotted.indexOf(code)]));
		const drawn = rings.map(roundRing).filter((ring) => ring.length);
		height = Math.max(height, ...drawn.map((ring) => boundsOf(ring).south / 10));
		const name = NAMES[code] ?? iso.getName(code, "en", { select: "alias" });
		return `${code}\t${name}\t${pathOf(drawn)}\n`;
	});
	const source = `Natural Earth 1:50m (public domain; npm world-atlas ${manifest.dependencies["world-atlas"]})`;
	const viewBox = `0 0 ${WIDTH} ${Math.ceil(height) + MARGIN}`;
	return `# viewBox="${viewBox}" projection="Robinson, ${CENTRE_LON} E in the middle" source="${source}"\n${lines.join("")}`;
}

const [path, ...more] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || more.length > 0) fail("usage: worldmap.mjs FILE");
const text = await draw();
try {
	writeFileSync(`${path}.new`, text);
	renameSync(`${path}.new`, path);
} catch (problem) {
	rmSync(`${path}.new`, { force: true });
	fail(problem.message);
}
