import { describe, expect, test } from "vitest";
import { mapBlock, mapFigure } from "../../../lib/figure/map/map.ts";
import { columnOf, mapPoints, shapeOf } from "../../../lib/figure/map/columns.ts";
import { drawMap } from "../../../lib/figure/map/still.ts";
import { thin } from "../../../lib/figure/map/thin.ts";
import { fitting, mixed, pictureSide } from "../../../lib/page/pictures.ts";
import { bestView, project, WIDEST } from "../../../lib/page/view.ts";
import { notebookPage } from "../../../lib/tools/notebook_page.ts";
import { onlyOnce, plotlyElement } from "../../../lib/figure/map/plotly.ts";
import { encodeSprites, type Thumbnails } from "../../../lib/figure/sprites.ts";
import { decodeBytes } from "../../../lib/codec.ts";
import { typesetter } from "../../../lib/figure/text.ts";
import { uniforms } from "../../nets.ts";

/** Points on a ring, with thumbnails of one shade each. */
function ring(count: number, side = 8) {
  const data = new Float32Array(2 * count).map((_, i) => Math[i % 2 ? "sin" : "cos"](2 * Math.PI * (i >> 1) / count));
  const pictures = new Uint8Array(count * side * side * 3).map((_, i) =>
    (Math.floor(i / (side * side * 3)) * 40) % 256
  );
  return { points: { data, shape: [count, 2] }, thumbnails: { side, data: pictures } };
}

/** What the page's script reads. */
function dataOf(html: string) {
  const json = html.match(/<script type="application\/json">([\s\S]*?)<\/script>/)![1];
  const data = JSON.parse(json);
  const bytes = (text: string) => Uint8Array.fromBase64(text);
  return { ...data, floats: (text: string) => new Float32Array(bytes(text).buffer), bytes };
}

describe("a map", () => {
  test("hands on coordinates, columns, neighbours and ids to the last bit", async () => {
    const { points, thumbnails } = ring(5);
    const figure = mapFigure({
      title: "ring",
      points,
      thumbnails,
      ids: ["a", "b", "c", "d", "</script>"],
      labels: ["dog", "cat", undefined, "dog", "10"],
      columns: { size: [3, 1, NaN, 2, 5] },
      neighbors: { k: 12, indices: Int32Array.from({ length: 60 }, (_, i) => i % 5) },
    });
    const html = await figure.html();
    const data = dataOf(html);
    expect([...data.floats(data.x)]).toEqual([0, 1, 2, 3, 4].map((i) => points.data[2 * i]));
    expect([...data.floats(data.y)]).toEqual([0, 1, 2, 3, 4].map((i) => points.data[2 * i + 1]));
    expect(data.ids[4]).toBe("</script>");
    const [label, size] = data.columns;
    expect(label).toMatchObject({ kind: "classes", name: "label", names: ["10", "cat", "dog", "no label"] });
    expect([...data.bytes(label.color)]).toEqual([2, 1, 3, 2, 0]);
    expect(size).toMatchObject({ kind: "numbers", low: 1, high: 5 });
    expect([...data.floats(size.values)]).toEqual([3, 1, NaN, 2, 5]);
    expect(data.neighbors).toMatchObject({ k: 10, wide: false });
    expect([...new Uint16Array(data.bytes(data.neighbors.indices).buffer)].slice(10, 14)).toEqual([2, 3, 4, 0]);
    expect(html).toContain('alt="A map of 5 points, coloured by label"');
    expect(html.indexOf("<img")).toBeLessThan(html.indexOf("<script"));
    const bundle = await figure.bundle();
    const plotly = bundle["application/vnd.plotly.v1+json"] as { data: { name: string; text: string[] }[] };
    expect(plotly.data.map(({ name }) => name)).toEqual(["10", "cat", "dog", "no label"]);
    expect(plotly.data[2].text).toEqual(["a", "d"]);
    // What Plotly would read as a tag is written as characters.
    expect(plotly.data[0].text).toEqual(["&#60;/script&#62;"]);
  });

  test("of more than 20,000 points is not written down twice, and counts its neighbours in 32 bits above 65,536", async () => {
    const { points } = ring(70_000);
    const indices = new Int32Array(70_000).map((_, i) => 69_999 - i);
    const figure = mapFigure({ title: "many", points, neighbors: { k: 1, indices } });
    expect(Object.keys(await figure.bundle())).toEqual(["text/html", "image/png", "text/plain"]);
    const data = dataOf(await figure.html());
    expect(new Uint32Array(data.bytes(data.neighbors.indices).buffer)[0]).toBe(69_999);
  });

  test("draws each point where it lies, in its colour", async () => {
    const points = { data: Float32Array.of(-1, -1, 1, 1), shape: [2, 2] };
    const figure = mapFigure({ title: "two", points, columns: { answer: ["right", "wrong"] } });
    const png = await decodeBytes(await figure.png(), { name: "map" });
    const red: number[][] = [];
    const blue: number[][] = [];
    for (let i = 0; i < png.width * png.height; i++) {
      const [r, g, b] = png.data.subarray(3 * i, 3 * i + 3);
      // Left of the legend.
      if (i % png.width > 580) continue;
      if (r > 150 && g < 90 && b < 90) red.push([i % png.width, Math.floor(i / png.width)]);
      if (b > 180 && r < 150) blue.push([i % png.width, Math.floor(i / png.width)]);
    }
    expect(red.length).toBeGreaterThan(30);
    expect(blue.length).toBeGreaterThan(30);
    // The wrong one is right and above: y grows upwards.
    expect(Math.min(...red.map(([x]) => x))).toBeGreaterThan(Math.max(...blue.map(([x]) => x)));
    expect(Math.max(...red.map(([, y]) => y))).toBeLessThan(Math.min(...blue.map(([, y]) => y)));
  });

  test("refuses what does not go with its points, and says what it wants", () => {
    const { points } = ring(5);
    const make = (more: object) => () => mapFigure({ title: "", points, ...more });
    expect(make({ ids: ["a"] })).toThrow("wants an id for each: received 1");
    expect(make({ labels: ["a", "b"] })).toThrow('column "label" of a map wants one value for each of its 5 points');
    expect(make({ columns: { size: [1] } })).toThrow('column "size"');
    expect(make({ neighbors: { k: 3, indices: [0] } })).toThrow("wants 3 neighbours for each");
    expect(make({ thumbnails: { side: 8, data: new Uint8Array(7) } })).toThrow("960 bytes: received 7");
    expect(() => mapPoints({ data: new Float32Array(0), shape: [0, 2] })).toThrow("received [0, 2]");
    expect(() => mapPoints({ data: new Float32Array(8), shape: [2, 4] })).toThrow("[n, 2] or [n, 3]");
    expect(() => mapPoints({ data: Float32Array.of(0, NaN), shape: [1, 2] })).toThrow("point 0 is (0, NaN)");
  });

  test("in space hands on all three coordinates and its view, and needs no Plotly", async () => {
    const data = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i) * (i % 3 + 1));
    const figure = mapFigure({ title: "", points: { data, shape: [100, 3] }, ids: Array(100).fill("a") });
    const html = await figure.html();
    const packed = dataOf(html);
    expect([...packed.floats(packed.z)]).toEqual(Array.from({ length: 100 }, (_, i) => data[3 * i + 2]));
    const points = mapPoints({ data, shape: [100, 3] });
    if (points.kind !== "space") throw new Error("wanted points in space");
    expect(packed.view).toEqual(bestView(points));
    expect(packed.columns).toEqual([]);
    expect(html).toContain('alt="A map of 100 points in space"');
    expect(html).not.toContain('class="convlens-plotly"');
    expect(figure.caption).toBe("Farther points are smaller and paler.");
    const plotly = (await figure.bundle())["application/vnd.plotly.v1+json"] as { data: Record<string, unknown>[] };
    expect(plotly.data[0]).toMatchObject({ type: "scatter3d" });
    expect(plotly.data[0].z).toHaveLength(100);
  });

  test("in space draws near points over far ones, larger and less pale", async () => {
    // Seen from the first axis: the red one in front, the blue one behind it, a little to the right.
    const points = mapPoints({ data: Float32Array.of(1, 0, 0, -1, 0.1, 0), shape: [2, 3] });
    const column = columnOf("answer", ["wrong", "right"], 2);
    const view = { azimuth: 0, elevation: 0 };
    const { svg } = await drawMap(await typesetter(), points, column, { side: 200, legend: false, view });
    const png = Uint8Array.fromBase64(svg.match(/base64,([^"]*)/)![1]);
    const { data, width } = await decodeBytes(png, { name: "map" });
    const places = (is: (r: number, g: number, b: number) => boolean) =>
      Array.from({ length: width * width }, (_, i) => i).filter((i) =>
        is(data[3 * i], data[3 * i + 1], data[3 * i + 2])
      );
    const red = places((r, _, b) => r > 180 && b < 60);
    const blue = places((r, _, b) => b > 225 && r > 120 && r < 215);
    expect(red.length).toBeGreaterThan(1.5 * blue.length);
    expect(blue.length).toBeGreaterThan(20);
    const middle = (found: number[]) => found.reduce((sum, i) => sum + i % width, 0) / found.length;
    expect(middle(red)).toBeGreaterThan(width / 2 - 20);
    expect(middle(blue)).toBeGreaterThan(middle(red));
    // Blue at its palest: 0x3f and six tenths of the way to white.
    expect(Math.min(...blue.map((i) => data[3 * i]))).toBeGreaterThan(150);
  });

  test("lays the last points on a pale background", async () => {
    const points = { data: Float32Array.of(-1, -1, 1, 1, 0, 0), shape: [3, 2] };
    const answer = ["wrong", "wrong", "wrong"];
    const figure = mapFigure({ title: "", points, columns: { answer }, background: 2 });
    const { data, width } = await decodeBytes(await figure.png(), { name: "map" });
    const strong: number[] = [];
    const pale: number[] = [];
    for (let i = 0; i < data.length / 3; i++) {
      if (i % width > 580) continue;
      const green = data[3 * i + 1];
      if (green < 80 && data[3 * i] > 150) strong.push(i % width);
      else if (green > 190 && green < 230 && data[3 * i] > 235) pale.push(i % width);
    }
    // One dot, half as large again as others of 9 pixels.
    expect(Math.max(...strong) - Math.min(...strong)).toBeGreaterThan(10);
    expect(Math.max(...strong) - Math.min(...strong)).toBeLessThan(15);
    expect(Math.max(...pale) - Math.min(...pale)).toBeGreaterThan(400);
    expect(() => mapFigure({ title: "", points, background: 4 })).toThrow("some of its 3 points: received 4");
  });
});

describe("a map of more points than a page holds", () => {
  test("shows one of each two, with all that belongs to it", () => {
    const { points, thumbnails } = ring(5);
    const { data, step } = thin({
      points,
      thumbnails,
      ids: ["a", "b", "c", "d", "e"],
      labels: ["1", undefined, "3", "4", "5"],
      columns: { size: Float32Array.of(9, 8, 7, 6, 5) },
      neighbors: { k: 1, indices: [1, 2, 3, 4, 0] },
      background: 2,
    }, 3);
    expect(step).toBe(2);
    const kept = data.ids!.map((id) => "abcde".indexOf(id));
    expect(kept.map((i) => Math.floor(i / 2))).toEqual([0, 1, 2]);
    expect(data).toMatchObject({
      points: { shape: [3, 2] },
      labels: kept.map((i) => ["1", undefined, "3", "4", "5"][i]),
      columns: { size: kept.map((i) => 9 - i) },
      neighbors: undefined,
      background: 1,
    });
    expect([...data.points.data]).toEqual(kept.flatMap((i) => [...points.data.slice(2 * i, 2 * i + 2)]));
    expect(data.thumbnails!.data).toHaveLength(3 * 192);
    kept.forEach((i, place) => {
      expect(data.thumbnails!.data[192 * place]).toBe(thumbnails.data[192 * i]);
    });
    expect(thin({ points }, 5)).toEqual({ data: { points }, step: 1 });
  });

  test("keeps its share of every class, also where they come in turns", () => {
    const labels = Array.from({ length: 10_000 }, (_, i) => `class ${i % 10}`);
    const { data, step } = thin({ points: { data: new Float32Array(20_000), shape: [10_000, 2] }, labels }, 2000);
    expect(step).toBe(5);
    for (let c = 0; c < 10; c++) {
      const share = data.labels!.filter((label) => label === `class ${c}`).length;
      expect(Math.abs(share - 200)).toBeLessThan(40);
    }
  });

  test("says so", () => {
    const points = { data: new Float32Array(500_002), shape: [250_001, 2] };
    expect(mapBlock({ points }, { title: "" }).note).toBe("One of every 2 of the 250,001 points is shown.");
    expect(mapBlock({ points: ring(5).points }, { title: "" }).note).toBeUndefined();
  });
});

describe("a view of points in space", () => {
  const space = (values: number[]) => {
    const points = mapPoints({ data: Float32Array.from(values), shape: [values.length / 3, 3] });
    if (points.kind !== "space") throw new Error("wanted points in space");
    return points;
  };
  const axes = space([1, 0, 0, 0, 1, 0, 0, 0, 1, -1, 0, 0, 0, -1, 0, 0, 0, -1]);
  const rounded = (values: Float32Array) => Array.from(values, (value) => Math.round(100 * value) / 100 + 0);

  test("at 0 has the first axis to the eye, the second to the right, the third upwards", () => {
    const { u, v, depth, growth } = project(axes, { azimuth: 0, elevation: 0 });
    const side = Math.round(100 / WIDEST) / 100;
    expect(rounded(u)).toEqual([0, side, 0, 0, -side, 0]);
    expect(rounded(v)).toEqual([0, 0, side, 0, 0, -side]);
    expect(rounded(depth)).toEqual([1, 0, 0, -1, 0, 0]);
    expect(growth[0]).toBeGreaterThan(growth[1]);
    expect(growth[1]).toBe(1);
    expect(growth[3]).toBeLessThan(1);
  });

  test("turns by the right hand, and from above looks down", () => {
    expect(rounded(project(axes, { azimuth: 90, elevation: 0 }).depth)).toEqual([0, 1, 0, 0, -1, 0]);
    expect(rounded(project(axes, { azimuth: 0, elevation: 90 }).depth)).toEqual([0, 0, 1, 0, 0, -1]);
    expect(rounded(project(axes, { azimuth: 0, elevation: 90 }).v)[0]).toBeLessThan(0);
  });

  test("keeps all points within a circle, whichever way it looks", () => {
    const random = uniforms(3);
    const points = space(Array.from({ length: 600 }, () => random() ** 3));
    for (const [azimuth, elevation] of [[0, 0], [77, 31], [200, -60], [311, 90]]) {
      const { u, v } = project(points, { azimuth, elevation });
      const far = u.reduce((most, value, i) => Math.max(most, Math.hypot(value, v[i])), 0);
      expect(far).toBeLessThanOrEqual(1.0001);
    }
  });

  test("that is best shows two heaps side by side, as near as they are all in sight", () => {
    const random = uniforms(4);
    // Behind one another when seen along the second axis.
    const values = Array.from({ length: 400 }, (_, i) => [random(), random() + (i % 2 ? 6 : -6), random()]).flat();
    const points = space(values);
    const view = bestView(points);
    const { u, v } = project(points, view);
    const left = u.filter((_, i) => i % 2 === 0);
    const right = u.filter((_, i) => i % 2 === 1);
    expect(Math.max(...left) < Math.min(...right) || Math.max(...right) < Math.min(...left)).toBe(true);
    const reach = Math.max(...u.map(Math.abs), ...v.map(Math.abs));
    expect(reach).toBeLessThan(1.0001);
    expect(view.zoom === 1.5 || reach > 0.999).toBe(true);
    // In the middle of the picture.
    expect(Math.abs(Math.max(...u) + Math.min(...u))).toBeLessThan(1e-5);
    expect(Math.abs(Math.max(...v) + Math.min(...v))).toBeLessThan(1e-5);
    expect(bestView(points)).toEqual(view);
  });

  test("of a single point, or of points in one place, is a picture all the same", () => {
    for (const values of [[2, 3, 4], [1, 1, 1, 1, 1, 1]]) {
      const { u, v } = project(space(values), bestView(space(values)));
      expect([...u, ...v].every((value) => value === 0)).toBe(true);
    }
  });
});

describe("a column of classes", () => {
  test("gives each a colour and, from the eleventh on, another shape", () => {
    const column = columnOf("label", Array.from({ length: 20 }, (_, i) => `class ${i}`), 20);
    expect(column.kind === "classes" && column.names).toEqual(Array.from({ length: 20 }, (_, i) => `class ${i}`));
    expect(new Set(column.palette.map((color, i) => color + shapeOf(i))).size).toBe(20);
  });

  test("has what is not known as its last, in grey, and the same colours for the others", () => {
    const values = ["zebra", "no label", "ant", "zebra"];
    const column = columnOf("label", values, 4);
    if (column.kind !== "classes") throw new Error("wanted classes");
    expect(column).toMatchObject({ names: ["ant", "zebra", "no label"], counts: [1, 2, 1] });
    expect([...column.color]).toEqual([1, 2, 0, 1]);
    const known = columnOf("label", ["zebra", "ant"], 2);
    expect(column.palette.slice(0, 2)).toEqual(known.palette);
    const many = columnOf("label", ["no label", ...Array.from({ length: 25 }, (_, i) => `class ${i}`)], 26);
    expect(many.kind === "classes" && many.names.slice(-2)).toEqual(["6 others", "no label"]);
    expect(many.color[0]).toBe(20);
    expect(many.color[25]).toBe(19);
  });

  test("of more than 20 keeps the 19 most frequent, and says how many others there are", () => {
    const values = Array.from({ length: 3000 }, (_, i) => `class ${i < 1900 ? i % 19 : 100 + i % 50}`);
    const column = columnOf("label", values, 3000);
    if (column.kind !== "classes") throw new Error("wanted classes");
    expect(column.names).toHaveLength(20);
    expect(column.names.at(-1)).toBe("50 others");
    expect(column.counts.at(-1)).toBe(1100);
    expect(column.counts.reduce((a, b) => a + b)).toBe(3000);
  });
});

describe("sprites", () => {
  const random = uniforms(5);
  const noisy = (count: number, side: number): Thumbnails => ({
    side,
    data: new Uint8Array(count * side * side * 3).map(() => 256 * random()),
  });

  test("lay thumbnails out row by row", async () => {
    const { thumbnails } = ring(6, 16);
    const { tile, columns, step, sheets } = await encodeSprites(thumbnails, 6);
    expect([tile, columns, step, sheets.length]).toEqual([16, 64, 1, 1]);
    const sheet = await decodeBytes(Uint8Array.fromBase64(sheets[0]), { name: "sheet" });
    expect([sheet.width, sheet.height]).toEqual([96, 16]);
    for (let i = 0; i < 6; i++) {
      expect(Math.abs(sheet.data[(8 * 96 + 16 * i + 8) * 3] - 40 * i)).toBeLessThan(4);
    }
  });

  test("keep to the budget: smaller first, then fewer", async () => {
    const thumbnails = noisy(2000, 32);
    const full = await encodeSprites(thumbnails, 2000);
    expect([full.tile, full.step]).toEqual([32, 1]);
    let last = 32;
    for (const budget of [1_000_000, 400_000, 60_000]) {
      const { tile, step, bytes, sheets } = await encodeSprites(thumbnails, 2000, { budget });
      expect(bytes).toBeLessThanOrEqual(budget);
      expect(sheets.reduce((sum, sheet) => sum + Uint8Array.fromBase64(sheet).length, 0)).toBe(bytes);
      expect(tile < last || step > 1).toBe(true);
      last = tile;
      if (budget === 60_000) expect(step).toBeGreaterThan(1);
    }
    const html = await mapFigure({
      title: "",
      points: ring(2000).points,
      thumbnails,
      budget: 60_000,
    }).html();
    expect(html).toMatch(/Pictures, shrunk from 32 to 16 pixels, of every \d+th image only: \d\d kB\./);
  });

  test("shrink by the mean", async () => {
    const data = new Uint8Array(96 * 96 * 3).map((_, i) => i % 2 ? 255 : 1);
    const { tile, sheets } = await encodeSprites({ side: 96, data }, 1);
    expect(tile).toBe(64);
    const sheet = await decodeBytes(Uint8Array.fromBase64(sheets[0]), { name: "sheet" });
    // 1.5 pixels of alternating shades each way.
    expect(Math.min(...sheet.data)).toBeGreaterThan(70);
    expect(Math.max(...sheet.data)).toBeLessThan(190);
  });
});

describe("pictures on the points", () => {
  /** How many pixels of a figure are green, as the pictures of all points are. */
  const green = async (count: number, pictures?: boolean, background = 0) => {
    const { points } = ring(count);
    const thumbnails = { side: 8, data: new Uint8Array(count * 192).map((_, i) => [20, 200, 60][i % 3]) };
    const figure = mapFigure({ title: "", points, thumbnails, pictures, background });
    const { data } = await decodeBytes(await figure.png(), { name: "map" });
    let found = 0;
    for (let at = 0; at < data.length; at += 3) found += Number(data[at] < 40 && data[at + 1] > 180);
    return found;
  };

  test("stand in the still map of up to 300, or where they are asked for", async () => {
    // So far apart that all fit.
    expect(await green(12) / 12).toBeCloseTo(44 ** 2, -2);
    expect(await green(12, false)).toBe(0);
    expect(await green(12, undefined, 8) / 4).toBeCloseTo(44 ** 2, -2);
    expect(await green(301)).toBe(0);
    expect(await green(301, true)).toBeGreaterThan(20 * 24 ** 2);
  });

  test("are refused where there are none", () => {
    expect(() => mapFigure({ title: "", points: ring(5).points, pictures: true })).toThrow(
      "received thumbnails: true for points without any",
    );
  });

  test("fit unless they would cover too much of one before, and none is met twice", () => {
    const x = [0, 5, 8, 100, -3, 0];
    const y = [0, 5, 0, 0, 0, 50];
    expect(fitting([0, 1, 2, 3, 4, 5, 0], { x, y }, () => 10)).toEqual([0, 2, 3, 5]);
    expect(fitting([1, 0, 2], { x, y }, (i) => i === 0 ? 0 : 10)).toEqual([1]);
    expect(fitting([0, 1, 2, 4], { x, y }, () => 2)).toEqual([0, 1, 2, 4]);
  });

  test("are smaller the more there are, and grow with the zoom up to a size", () => {
    const sides = [10, 200, 2000].map((count) => pictureSide(count));
    expect(sides).toEqual([44, expect.closeTo(29.7, 1), 16]);
    expect([pictureSide(10, 4), pictureSide(10, 100)]).toEqual([88, 96]);
  });

  test("come in an order that has each once", () => {
    for (const count of [1, 2, 10, 64]) {
      expect([...mixed(count)].sort((a, b) => a - b)).toEqual([...Array(count).keys()]);
    }
  });
});

describe("Plotly", () => {
  test("stands in each map, and once in an exported page", async () => {
    const element = await plotlyElement();
    expect(element.length).toBeLessThan(750_000);
    const html = await mapFigure({ title: "ring", points: ring(5).points }).html();
    expect(html.split(element)).toHaveLength(2);
    expect(onlyOnce(html + html).split(element)).toHaveLength(2);
    const output = { output_type: "display_data" as const, data: { "text/html": html }, metadata: {} };
    const cell = { cell_type: "code" as const, source: "", metadata: {}, execution_count: 1, outputs: [output] };
    const page = await notebookPage({
      cells: [{ id: "a", ...cell }, { id: "b", ...cell }],
      metadata: {},
      nbformat: 4,
      nbformat_minor: 5,
    });
    expect(page.split('class="convlens-plotly"')).toHaveLength(2);
    expect(page.split('class="convlens-map"')).toHaveLength(3);
  });
});
