/**
 * Points in space, drawn on a canvas dot by dot, the farthest first, as the still picture is.
 *
 * Plotly's points in space turn by jerks where no graphics card is, and would put another bundle into each map.
 *
 * @module
 */
/// <reference lib="dom" />

import { brief } from "../format.ts";
import { button, element, pointerIn, press } from "./dom.ts";
import { type Canvas, disc, rgbOf } from "./disc.ts";
import type { Column, Drawing, Stage } from "./map_drawing.ts";
import { fitting, FRAME, pictureSide } from "./pictures.ts";
import { Scene } from "./scene.ts";
import { HAZE, RAISED, type View } from "./view.ts";

/** Steps in which colours are mixed with haze. */
const HAZES = 32;
const PLAIN = "#3f90da";
const DARK = [26, 26, 26];
const WHITE = [255, 255, 255];
/** Slower frames, in milliseconds, are drawn coarser while the map moves. */
const SLOW = 30;

type Place = [x: number, y: number];

/** A map in space. */
export class SpaceDrawing implements Drawing {
  readonly help = "drag to turn, shift and drag to move, scroll to zoom";
  readonly lassoHelp = "";
  readonly #stage: Stage;
  readonly #scene: Scene;
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #legend: HTMLElement;
  readonly #lassoButton: HTMLButtonElement;
  readonly #camera: Required<View>;
  #image: ImageData | undefined;
  #column: Column | undefined;
  /** Each colour in all steps of haze. */
  #shades: number[][][] = [];
  #hidden = new Set<number>();
  #pictured = false;
  #chosen: Uint8Array | null = null;
  #marked: { point: number; close: number[]; far: number[] } | null = null;
  #lasso: Place[] | null = null;
  #lassoing = false;
  #spinning = false;
  #moving = false;
  #waiting = false;
  #cost = 0;

  constructor(stage: Stage) {
    const { host, points: { x, y, z, count, box } } = stage;
    this.#stage = stage;
    const { x: cx, y: cy, z: cz = 0, side, radius = 1 } = box;
    this.#scene = new Scene({ kind: "space", count, x, y, z: z!, box: { x: cx, y: cy, z: cz, side, radius } });
    this.#camera = { azimuth: 0, elevation: 0, zoom: 1, x: 0, y: 0 };
    const layout = { display: "flex", flexWrap: "wrap", gap: "0 16px", color: "#1a1a1a", width: "fit-content" };
    Object.assign(host.style, layout);
    this.#canvas = element(
      "canvas",
      "display:block;width:560px;max-width:100%;aspect-ratio:1;cursor:grab;touch-action:none",
      { tabindex: 0, role: "img", "aria-label": "Points in space; the arrow keys turn them, + and − zoom." },
    );
    this.#legend = element(
      "div",
      "box-sizing:border-box;width:178px;padding:8px 0;font:12px/1.3 system-ui,sans-serif",
      { class: "convlens-legend" },
    );
    host.append(this.#canvas, this.#legend);
    const context = this.#canvas.getContext("2d");
    if (!context) throw new Error("this browser has no canvas");
    this.#context = context;
    this.#lassoButton = this.#addButton("lasso", "convlens-lasso", () => this.#switchLasso());
    const spin = this.#addButton("spin", "convlens-spin", () => this.#switchSpin(spin));
    this.#listen();
  }

  draw(first: Column | undefined): void {
    this.#goHome();
    this.color(first);
    this.#paint();
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
  }

  color(next: Column | undefined): void {
    this.#column = next;
    this.#hidden = new Set();
    this.#shades = (next?.palette ?? [PLAIN]).map(rgbOf).map((color) =>
      Array.from(
        { length: HAZES },
        (_, level) => color.map((value) => value + HAZE * (level + 0.5) / HAZES * (255 - value)),
      )
    );
    this.#writeLegend();
    this.#draw();
  }

  mark(point: number, close: number[], far: number[]): void {
    this.#marked = { point, close, far };
    this.#draw();
  }

  unmark(): void {
    this.#marked = null;
    this.#draw();
  }

  only(chosen: number[] | null): void {
    this.#chosen = chosen && new Uint8Array(this.#scene.count);
    for (const i of chosen ?? []) this.#chosen![i] = 1;
    this.#draw();
  }

  endLasso(): void {}

  showPictures(shown: boolean): void {
    this.#pictured = shown;
    this.#draw();
  }

  /** How much of the canvas lies between its middle and the outermost dots. */
  #room(): number {
    return 0.5 - (0.75 * this.#stage.points.dot + 2) / this.#canvas.clientWidth;
  }

  #goHome(): void {
    const { zoom = 1, x = 0, y = 0, ...from } = this.#stage.points.view!;
    Object.assign(this.#camera, from, { zoom, x: x * this.#room(), y: -y * this.#room() });
  }

  #isHidden(i: number): boolean {
    return this.#column?.kind === "classes" && this.#hidden.has(this.#column.color[i]);
  }

  #draw(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => this.#paint());
  }

  #paint(): void {
    this.#waiting = false;
    const shown = this.#canvas.clientWidth;
    if (!shown) return;
    const begun = performance.now();
    const { dot, background } = this.#stage.points;
    // On fine screens a map that is slow to draw is coarser while it moves.
    const ratio = this.#moving && this.#cost > SLOW ? 1 : Math.min(2, devicePixelRatio || 1);
    const width = Math.round(shown * ratio);
    if (this.#canvas.width !== width || !this.#image) {
      this.#canvas.width = this.#canvas.height = width;
      this.#image = this.#context.createImageData(width, width);
    }
    const bytes = this.#image.data.fill(255);
    this.#scene.look(this.#camera, width, this.#room());
    const radius = dot / 2 * ratio * Math.max(1, Math.sqrt(this.#zoom()));
    const canvas: Canvas = { bytes, width, height: width, depth: 4 };
    if (background) this.#paintDots(canvas, radius, ratio, true);
    this.#paintDots(canvas, radius, ratio, false);
    this.#context.putImageData(this.#image, 0, 0);
    if (this.#pictured) this.#paintPictures(ratio);
    this.#paintMarks(radius, ratio);
    this.#paintLasso(ratio);
    this.#cost = performance.now() - begun;
  }

  /** Paints the background, or all others. */
  #paintDots(canvas: Canvas, size: number, ratio: number, back: boolean): void {
    const { background } = this.#stage.points;
    const { order, x, y, depth, growth } = this.#scene;
    const column = this.#column;
    const raised = background > 0 && !back;
    for (const i of order) {
      if (i < background !== back || this.#isHidden(i)) continue;
      const color = column ? column.color[i] : 0;
      const square = column?.kind === "classes" && column.shapes[color] === "square";
      const radius = size * growth[i] * (raised ? RAISED : 1);
      const pale = this.#chosen ? !this.#chosen[i] : back;
      if (!pale && (raised || radius >= 2 * ratio)) {
        disc(canvas, x[i], y[i], radius + 0.6 * ratio, raised ? DARK : WHITE, raised ? 1 : 0.8, square);
      }
      const haze = Math.min(HAZES - 1, Math.max(0, Math.floor((1 - depth[i]) / 2 * HAZES)));
      const opacity = !pale ? 0.95 : this.#chosen ? 0.1 : 0.2;
      disc(canvas, x[i], y[i], radius, this.#shades[color][haze], opacity, square);
    }
  }

  /** How much larger than at first the points are seen. */
  #zoom(): number {
    return this.#camera.zoom / (this.#stage.points.view?.zoom ?? 1);
  }

  /** The pictures that fit, the nearest first; they are painted the other way round. */
  #paintPictures(ratio: number): void {
    const { points: { count, background }, pictures } = this.#stage;
    const { order, x, y, growth } = this.#scene;
    const side = pictureSide(count, this.#zoom()) * ratio;
    const sideOf = (i: number) => {
      const seen = i >= background && pictures!.has(i) && !this.#isHidden(i) && (!this.#chosen || this.#chosen[i]);
      return seen ? side * growth[i] : 0;
    };
    const column = this.#column;
    const { width } = this.#canvas;
    const frame = FRAME * ratio;
    for (const i of fitting(order.toReversed(), { x, y }, sideOf).reverse()) {
      const color = column ? column.palette[column.color[i]] : PLAIN;
      const side = Math.round(sideOf(i));
      // A picture of a point at the edge is moved inwards, to be seen as a whole.
      const edge = side / 2 + frame;
      const hold = (at: number) => at < 0 || at > width ? at : Math.max(edge, Math.min(width - edge, at));
      pictures!.paint(this.#context, i, { x: hold(x[i]), y: hold(y[i]), side, color, frame });
    }
  }

  /** The chosen point, and lines to its true neighbours. */
  #paintMarks(size: number, ratio: number): void {
    if (!this.#marked) return;
    const { point, close, far } = this.#marked;
    const { x, y, growth } = this.#scene;
    const context = this.#context;
    context.lineJoin = "round";
    const stroke = (color: string, width: number, path: () => void) => {
      context.strokeStyle = color;
      context.lineWidth = width * ratio;
      context.beginPath();
      path();
      context.stroke();
    };
    const lines = (to: number[]) => () => {
      for (const j of to) {
        context.moveTo(x[point], y[point]);
        context.lineTo(x[j], y[j]);
      }
    };
    const ring = (j: number, more: number) => () =>
      context.arc(x[j], y[j], size * growth[j] + more * ratio, 0, 2 * Math.PI);
    stroke("#333333", 1, lines(close));
    stroke("#e76300", 1.5, lines(far));
    for (const j of [...close, ...far]) stroke("#111111", 2, ring(j, 2));
    stroke("#d6006c", 3, ring(point, 4));
  }

  #paintLasso(ratio: number): void {
    if (!this.#lasso || this.#lasso.length < 2) return;
    const context = this.#context;
    context.strokeStyle = "#333333";
    context.fillStyle = "rgba(63,144,218,.12)";
    context.lineWidth = ratio;
    context.setLineDash([4 * ratio, 3 * ratio]);
    context.beginPath();
    for (const [u, v] of this.#lasso) context.lineTo(u * ratio, v * ratio);
    context.closePath();
    context.fill();
    context.stroke();
    context.setLineDash([]);
  }

  /** The point under the pointer, or −1. */
  #under([u, v]: Place): number {
    const ratio = this.#canvas.width / this.#canvas.clientWidth;
    return this.#scene.at([u * ratio, v * ratio], {
      dot: this.#pictured ? pictureSide(this.#scene.count, this.#zoom()) : this.#stage.points.dot,
      ratio,
      shown: (i) => !this.#isHidden(i) && !(this.#chosen && !this.#chosen[i]),
    });
  }

  #addButton(words: string, name: string, act: () => void): HTMLButtonElement {
    const made = button(words, { class: name, "aria-pressed": "false" });
    made.addEventListener("click", act);
    this.#stage.bar.append(made);
    return made;
  }

  #restCursor(): void {
    this.#canvas.style.cursor = this.#lassoing ? "crosshair" : "grab";
  }

  #switchLasso(): void {
    this.#lassoing = !this.#lassoing;
    press(this.#lassoing, this.#lassoButton);
    this.#restCursor();
  }

  #switchSpin(made: HTMLButtonElement): void {
    this.#spinning = !this.#spinning;
    press(this.#spinning, made);
    let last: number | undefined;
    const turn = (now: number) => {
      if (!this.#spinning || !this.#canvas.isConnected) return;
      this.#camera.azimuth -= last === undefined ? 0 : Math.min(100, now - last) * 0.02;
      last = now;
      this.#moving = true;
      this.#draw();
      requestAnimationFrame(turn);
    };
    if (this.#spinning) requestAnimationFrame(turn);
    else {
      this.#moving = false;
      this.#draw();
    }
  }

  #turnBy(right: number, down: number): void {
    this.#camera.azimuth -= right;
    this.#camera.elevation = Math.max(-90, Math.min(90, this.#camera.elevation + down));
  }

  /** Zooms around a place of the canvas, given as shares of it. */
  #zoomBy(factor: number, [u, v]: Place = [0.5, 0.5]): void {
    const camera = this.#camera;
    const zoom = Math.max(0.3, Math.min(60, camera.zoom * factor));
    const grown = zoom / camera.zoom;
    camera.x = u - 0.5 - (u - 0.5 - camera.x) * grown;
    camera.y = v - 0.5 - (v - 0.5 - camera.y) * grown;
    camera.zoom = zoom;
  }

  #listen(): void {
    const canvas = this.#canvas;
    const { on } = this.#stage;
    this.#listenToPointer();
    canvas.addEventListener("pointerleave", on.leave);
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [u, v] = pointerIn(canvas, event);
      this.#zoomBy(Math.exp(-0.002 * event.deltaY), [u / canvas.clientWidth, v / canvas.clientWidth]);
      on.leave();
      this.#draw();
    }, { passive: false });
    canvas.addEventListener("dblclick", () => {
      this.#goHome();
      on.deselect();
      this.#draw();
    });
    const keys: Record<string, () => void> = {
      ArrowLeft: () => this.#turnBy(-5, 0),
      ArrowRight: () => this.#turnBy(5, 0),
      ArrowUp: () => this.#turnBy(0, -5),
      ArrowDown: () => this.#turnBy(0, 5),
      "+": () => this.#zoomBy(1.2),
      "-": () => this.#zoomBy(1 / 1.2),
    };
    canvas.addEventListener("keydown", (event) => {
      if (!keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
      this.#draw();
    });
  }

  /** Turning, moving, lassoing, clicking and hovering. */
  #listenToPointer(): void {
    const canvas = this.#canvas;
    const { on } = this.#stage;
    let held: { from: Place; last: Place; far: boolean } | undefined;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const here = pointerIn(canvas, event);
      held = { from: here, last: here, far: false };
      canvas.setPointerCapture(event.pointerId);
      on.leave();
      if (this.#lassoing) this.#lasso = [here];
      else canvas.style.cursor = "grabbing";
    });
    canvas.addEventListener("pointermove", (event) => {
      const here = pointerIn(canvas, event);
      if (!held) {
        const i = this.#under(here);
        if (i >= 0) on.hover(i, event);
        else on.leave();
        return;
      }
      const [right, down] = [here[0] - held.last[0], here[1] - held.last[1]];
      held.far ||= Math.hypot(here[0] - held.from[0], here[1] - held.from[1]) > 3;
      held.last = here;
      if (this.#lasso) this.#lasso.push(here);
      else if (event.shiftKey) {
        this.#camera.x += right / canvas.clientWidth;
        this.#camera.y += down / canvas.clientWidth;
      } else this.#turnBy(0.4 * right, 0.4 * down);
      this.#moving = !this.#lasso;
      this.#draw();
    });
    const release = (event: PointerEvent) => {
      if (!held) return;
      const { far } = held;
      held = undefined;
      this.#moving = this.#spinning;
      this.#restCursor();
      if (this.#lasso) {
        const path = this.#lasso;
        this.#lasso = null;
        this.#switchLasso();
        const ratio = canvas.width / canvas.clientWidth;
        if (far) on.select(this.#scene.within(path, ratio, (i) => !this.#isHidden(i)));
      } else if (!far && event.type === "pointerup") {
        const i = this.#under(pointerIn(canvas, event));
        if (i >= 0) on.click(i);
      }
      this.#draw();
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
  }

  #writeLegend(): void {
    const column = this.#column;
    this.#legend.replaceChildren();
    if (!column) return;
    this.#legend.append(element("div", "font-weight:600;margin:0 0 6px 0", {}, column.name));
    if (column.kind === "classes") this.#writeClasses(column);
    else {
      const shades = column.palette.slice(0, 64).join(",");
      this.#legend.append(
        element(
          "div",
          "display:flex;gap:6px",
          {},
          element("div", `width:14px;height:192px;background:linear-gradient(to top,${shades})`),
          element(
            "div",
            "display:flex;flex-direction:column;justify-content:space-between",
            {},
            element("span", "", {}, brief(column.high, 4)),
            element("span", "", {}, brief(column.low, 4)),
          ),
        ),
      );
    }
  }

  /** One row a class; a click hides or shows it, a double click shows it alone or all. */
  #writeClasses(column: Column & { kind: "classes" }): void {
    const hidden = this.#hidden;
    const rows = column.names.map((name, c) => {
      const round = column.shapes[c] === "square" ? "" : ";border-radius:5px";
      return element(
        "button",
        "display:flex;gap:6px;align-items:center;width:100%;padding:2px 0;border:0;" +
          "background:none;font:inherit;color:inherit;cursor:pointer;text-align:left",
        {
          type: "button",
          class: "convlens-class",
          title: "A click hides or shows it, a double click shows it alone or all.",
        },
        element("span", `flex:none;width:10px;height:10px;background:${column.palette[c]}${round}`),
        element("span", "overflow:hidden;text-overflow:ellipsis;white-space:nowrap", {}, name),
        element("span", "color:#555;font-size:11px", {}, column.counts[c].toLocaleString("en")),
      );
    });
    const show = () => {
      rows.forEach((row, c) => {
        row.style.opacity = hidden.has(c) ? "0.4" : "1";
        row.setAttribute("aria-pressed", String(!hidden.has(c)));
      });
      this.#draw();
    };
    rows.forEach((row, c) => {
      row.addEventListener("click", () => {
        if (!hidden.delete(c)) hidden.add(c);
        show();
      });
      row.addEventListener("dblclick", () => {
        const alone = hidden.size === rows.length - 1 && !hidden.has(c);
        rows.forEach((_, other) => alone || other === c ? hidden.delete(other) : hidden.add(other));
        show();
      });
    });
    this.#legend.append(...rows);
    show();
  }
}
