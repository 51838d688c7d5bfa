/**
 * The part of the maps' script that draws points in space: on a canvas, dot by dot, the farthest first.
 *
 * Plotly's points in space turn by jerks where no graphics card is, and
 * would put another bundle into each map.
 *
 * @module
 */

import { RAISED } from "../../figure/map/still.ts";
import { EYE, HAZE, WIDEST } from "../../figure/map/view.ts";

/** Plain JavaScript that defines `space`, which `map_script.ts` calls. It draws as `map_still.ts` does. */
export const SPACE_SCRIPT = String.raw`
    const space = ({ data, x, y, z, host, bar, on }) => {
      const EYE = ${EYE}, WIDEST = ${WIDEST}, HAZE = ${HAZE}, RAISED = ${RAISED};
      const HAZES = 32, BINS = 1024, NEAR = 12;
      const count = x.length;
      const { box, background } = data;
      const start = data.view;
      Object.assign(host.style, { display: "flex", flexWrap: "wrap", gap: "0 16px", color: "#1a1a1a", width: "fit-content" });
      const canvas = element("canvas", "display:block;width:560px;max-width:100%;aspect-ratio:1;cursor:grab;touch-action:none");
      canvas.tabIndex = 0;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", "Points in space; the arrow keys turn them, + and − zoom.");
      const legend = element("div", "box-sizing:border-box;width:178px;padding:8px 0;font:12px/1.3 system-ui,sans-serif");
      legend.className = "convlens-legend";
      host.append(canvas, legend);
      const context = canvas.getContext("2d");
      if (!context) throw new Error("this browser has no canvas");

      const camera = {};
      /** How much of the canvas lies between its middle and the outermost dots. */
      const room = () => 0.5 - (0.75 * data.dot + 2) / canvas.clientWidth;
      const goHome = () => Object.assign(camera, start, { x: start.x * room(), y: -start.y * room() });
      let column;
      let shades = [];
      let hidden = new Set();
      let chosen = null;
      let lit = null;
      let lasso = null;
      let image, bytes, words;
      const sx = new Float32Array(count), sy = new Float32Array(count);
      const depth = new Float32Array(count), growth = new Float32Array(count);
      const order = new Uint32Array(count), starts = new Uint32Array(BINS + 1);

      const rgb = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
      const isHidden = (i) => column && column.kind === "classes" && hidden.has(column.color[i]);

      /** Where each point is seen, and the order from the farthest to the nearest. */
      const project = (wide) => {
        const a = camera.azimuth * Math.PI / 180, e = camera.elevation * Math.PI / 180;
        const ca = Math.cos(a), sa = Math.sin(a), ce = Math.cos(e), se = Math.sin(e);
        const scale = camera.zoom * wide * room() / WIDEST;
        const middleX = wide * (0.5 + camera.x), middleY = wide * (0.5 + camera.y);
        starts.fill(0);
        const bin = (d) => Math.min(BINS - 1, Math.max(0, Math.floor((d + 1) / 2 * BINS)));
        for (let i = 0; i < count; i++) {
          const px = (x[i] - box.x) / box.radius, py = (y[i] - box.y) / box.radius, pz = (z[i] - box.z) / box.radius;
          const towards = ca * px + sa * py;
          const d = ce * towards + se * pz;
          const g = EYE / (EYE - d);
          sx[i] = middleX + scale * g * (ca * py - sa * px);
          sy[i] = middleY - scale * g * (ce * pz - se * towards);
          depth[i] = d;
          growth[i] = g;
          starts[bin(d) + 1]++;
        }
        for (let b = 0; b < BINS; b++) starts[b + 1] += starts[b];
        for (let i = 0; i < count; i++) order[starts[bin(depth[i])]++] = i;
      };

      const disc = (cx, cy, radius, red, green, blue, opacity, square, wide) => {
        const left = Math.max(0, Math.floor(cx - radius - 0.5)), right = Math.min(wide - 1, Math.ceil(cx + radius - 0.5));
        const top = Math.max(0, Math.floor(cy - radius - 0.5)), bottom = Math.min(wide - 1, Math.ceil(cy + radius - 0.5));
        const full = radius > 0.5 ? (radius - 0.5) ** 2 : 0, none = (radius + 0.5) ** 2;
        for (let v = top; v <= bottom; v++) {
          const dv = v + 0.5 - cy;
          for (let u = left; u <= right; u++) {
            const du = u + 0.5 - cx;
            const far = square ? Math.max(du * du, dv * dv) * 1.2769 : du * du + dv * dv;
            if (far >= none) continue;
            const share = far <= full ? opacity : opacity * (radius + 0.5 - Math.sqrt(far));
            const at = (v * wide + u) * 4;
            bytes[at] += share * (red - bytes[at]);
            bytes[at + 1] += share * (green - bytes[at + 1]);
            bytes[at + 2] += share * (blue - bytes[at + 2]);
          }
        }
      };

      let cost = 0, moving = false, waiting = false;
      const paint = () => {
        waiting = false;
        const shown = canvas.clientWidth;
        if (!shown) return;
        const begun = performance.now();
        // On fine screens a map that is slow to draw is coarser while it moves.
        const ratio = moving && cost > 30 ? 1 : Math.min(2, window.devicePixelRatio || 1);
        const wide = Math.round(shown * ratio);
        if (canvas.width !== wide || !image) {
          canvas.width = canvas.height = wide;
          image = context.createImageData(wide, wide);
          bytes = image.data;
          words = new Uint32Array(bytes.buffer);
        }
        words.fill(0xffffffff);
        project(wide);
        const classes = column && column.kind === "classes";
        const size = data.dot / 2 * ratio * Math.max(1, Math.sqrt(camera.zoom / start.zoom));
        const rimmed = 2 * ratio;
        const pass = (back) => {
          for (let n = 0; n < count; n++) {
            const i = order[n];
            if (i < background !== back || isHidden(i)) continue;
            const c = column ? column.color[i] : 0;
            const square = classes && column.shapes[c] === "square";
            const raised = background > 0 && !back;
            const radius = size * growth[i] * (raised ? RAISED : 1);
            const pale = chosen ? !chosen[i] : back;
            if (raised && !pale) disc(sx[i], sy[i], radius + 0.6 * ratio, 26, 26, 26, 1, square, wide);
            else if (radius >= rimmed && !pale) {
              disc(sx[i], sy[i], radius + 0.6 * ratio, 255, 255, 255, 0.8, square, wide);
            }
            const haze = Math.min(HAZES - 1, Math.max(0, Math.floor((1 - depth[i]) / 2 * HAZES)));
            const [red, green, blue] = shades[c][haze];
            disc(sx[i], sy[i], radius, red, green, blue, pale ? (chosen ? 0.1 : 0.2) : 0.95, square, wide);
          }
        };
        if (background) pass(true);
        pass(false);
        context.putImageData(image, 0, 0);
        over(ratio, size);
        cost = performance.now() - begun;
      };
      const draw = () => { if (!waiting) { waiting = true; requestAnimationFrame(paint); } };

      /** What lies over the points: the true neighbours, the lasso. */
      const over = (ratio, size) => {
        context.lineJoin = "round";
        if (lit) {
          const line = (to, color, width) => {
            context.strokeStyle = color;
            context.lineWidth = width * ratio;
            context.beginPath();
            for (const j of to) { context.moveTo(sx[lit.i], sy[lit.i]); context.lineTo(sx[j], sy[j]); }
            context.stroke();
          };
          const ring = (j, more, color, width) => {
            context.strokeStyle = color;
            context.lineWidth = width * ratio;
            context.beginPath();
            context.arc(sx[j], sy[j], size * growth[j] + more * ratio, 0, 2 * Math.PI);
            context.stroke();
          };
          line(lit.close, "#333333", 1);
          line(lit.far, "#e76300", 1.5);
          for (const j of [...lit.close, ...lit.far]) ring(j, 2, "#111111", 2);
          ring(lit.i, 4, "#d6006c", 3);
        }
        if (lasso && lasso.length > 1) {
          context.strokeStyle = "#333333";
          context.fillStyle = "rgba(63,144,218,.12)";
          context.lineWidth = ratio;
          context.setLineDash([4 * ratio, 3 * ratio]);
          context.beginPath();
          for (const [u, v] of lasso) context.lineTo(u * ratio, v * ratio);
          context.closePath();
          context.fill();
          context.stroke();
          context.setLineDash([]);
        }
      };

      /** The point under the pointer: of those that are hit the nearest to the eye, else the one least far from it. */
      const under = (u, v) => {
        const ratio = canvas.width / canvas.clientWidth;
        const [px, py] = [u * ratio, v * ratio];
        let hit = -1, near = -1, least = (NEAR * ratio) ** 2;
        for (let i = 0; i < count; i++) {
          const far = (sx[i] - px) ** 2 + (sy[i] - py) ** 2;
          if (far > least && far > (data.dot * ratio) ** 2) continue;
          if (isHidden(i) || (chosen && !chosen[i])) continue;
          const radius = data.dot / 2 * ratio * growth[i] + ratio;
          if (far <= radius * radius && (hit < 0 || depth[i] > depth[hit])) hit = i;
          if (far < least) { least = far; near = i; }
        }
        return hit >= 0 ? hit : near;
      };
      const within = (path) => {
        const ratio = canvas.width / canvas.clientWidth;
        const found = [];
        for (let i = 0; i < count; i++) {
          if (isHidden(i)) continue;
          const px = sx[i] / ratio, py = sy[i] / ratio;
          let inside = false;
          for (let a = 0, b = path.length - 1; a < path.length; b = a++) {
            const [ax, ay] = path[a], [bx, by] = path[b];
            if (ay > py !== by > py && px < (bx - ax) * (py - ay) / (by - ay) + ax) inside = !inside;
          }
          if (inside) found.push(i);
        }
        return found;
      };

      const button = (words, className) => {
        const made = element("button", "font:inherit;color:inherit;background:none;cursor:pointer;padding:1px 8px;" +
          "border:1px solid rgba(128,128,128,.6);border-radius:4px", words);
        made.type = "button";
        made.className = className;
        made.setAttribute("aria-pressed", "false");
        bar.append(made);
        return made;
      };
      const press = (made, pressed) => {
        made.setAttribute("aria-pressed", String(pressed));
        made.style.background = pressed ? "rgba(63,144,218,.35)" : "none";
      };
      const lassoButton = button("lasso", "convlens-lasso");
      const turnButton = button("spin", "convlens-spin");
      let lassoing = false;
      lassoButton.addEventListener("click", () => {
        lassoing = !lassoing;
        press(lassoButton, lassoing);
        canvas.style.cursor = lassoing ? "crosshair" : "grab";
      });
      let spinning = false;
      turnButton.addEventListener("click", () => {
        spinning = !spinning;
        press(turnButton, spinning);
        let last;
        const turn = (now) => {
          if (!spinning || !canvas.isConnected) return;
          camera.azimuth -= last === undefined ? 0 : Math.min(100, now - last) * 0.02;
          last = now;
          moving = true;
          draw();
          requestAnimationFrame(turn);
        };
        if (spinning) requestAnimationFrame(turn);
        else { moving = false; draw(); }
      });

      const turnBy = (right, down) => {
        camera.azimuth -= right;
        camera.elevation = Math.max(-90, Math.min(90, camera.elevation + down));
      };
      const zoomBy = (factor, u = 0.5, v = 0.5) => {
        const zoom = Math.max(0.3, Math.min(60, camera.zoom * factor));
        const grown = zoom / camera.zoom;
        camera.x = u - 0.5 - (u - 0.5 - camera.x) * grown;
        camera.y = v - 0.5 - (v - 0.5 - camera.y) * grown;
        camera.zoom = zoom;
      };
      const at = (event) => {
        const place = canvas.getBoundingClientRect();
        return [event.clientX - place.left, event.clientY - place.top];
      };
      let held = null;
      canvas.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        held = { from: at(event), last: at(event), far: false };
        canvas.setPointerCapture(event.pointerId);
        on.leave();
        if (lassoing) lasso = [at(event)];
        else canvas.style.cursor = "grabbing";
      });
      canvas.addEventListener("pointermove", (event) => {
        const here = at(event);
        if (!held) {
          const i = under(...here);
          if (i >= 0) on.hover(i, event);
          else on.leave();
          return;
        }
        const moved = [here[0] - held.last[0], here[1] - held.last[1]];
        held.far = held.far || Math.hypot(here[0] - held.from[0], here[1] - held.from[1]) > 3;
        held.last = here;
        if (lasso) lasso.push(here);
        else if (event.shiftKey) {
          camera.x += moved[0] / canvas.clientWidth;
          camera.y += moved[1] / canvas.clientWidth;
        } else turnBy(0.4 * moved[0], 0.4 * moved[1]);
        moving = !lasso;
        draw();
      });
      const release = (event) => {
        if (!held) return;
        const { far } = held;
        held = null;
        moving = spinning;
        canvas.style.cursor = lassoing ? "crosshair" : "grab";
        if (lasso) {
          const path = lasso;
          lasso = null;
          lassoButton.click();
          if (far) on.select(within(path));
        } else if (!far && event.type === "pointerup") {
          const i = under(...at(event));
          if (i >= 0) on.click(i);
        }
        draw();
      };
      canvas.addEventListener("pointerup", release);
      canvas.addEventListener("pointercancel", release);
      canvas.addEventListener("pointerleave", on.leave);
      canvas.addEventListener("wheel", (event) => {
        event.preventDefault();
        const [u, v] = at(event).map((value) => value / canvas.clientWidth);
        zoomBy(Math.exp(-0.002 * event.deltaY), u, v);
        on.leave();
        draw();
      }, { passive: false });
      canvas.addEventListener("dblclick", () => {
        goHome();
        on.deselect();
        draw();
      });
      const keys = {
        ArrowLeft: () => turnBy(-5, 0), ArrowRight: () => turnBy(5, 0),
        ArrowUp: () => turnBy(0, -5), ArrowDown: () => turnBy(0, 5), "+": () => zoomBy(1.2), "-": () => zoomBy(1 / 1.2),
      };
      canvas.addEventListener("keydown", (event) => {
        if (!keys[event.key]) return;
        event.preventDefault();
        keys[event.key]();
        draw();
      });

      const writeLegend = () => {
        legend.replaceChildren();
        if (!column) return;
        legend.append(element("div", "font-weight:600;margin:0 0 6px 0", column.name));
        if (column.kind === "numbers") {
          const bar = element("div", "display:flex;gap:6px");
          const ends = element("div", "display:flex;flex-direction:column;justify-content:space-between");
          ends.append(element("span", "", digits(column.high)), element("span", "", digits(column.low)));
          bar.append(element("div", "width:14px;height:192px;background:linear-gradient(to top," +
            column.palette.slice(0, 64).join(",") + ")"), ends);
          legend.append(bar);
          return;
        }
        const rows = column.names.map((name, c) => {
          const row = element("button", "display:flex;gap:6px;align-items:center;width:100%;padding:2px 0;border:0;" +
            "background:none;font:inherit;color:inherit;cursor:pointer;text-align:left");
          row.type = "button";
          row.className = "convlens-class";
          row.title = "A click hides or shows it, a double click shows it alone or all.";
          row.append(
            element("span", "flex:none;width:10px;height:10px;background:" + column.palette[c] +
              (column.shapes[c] === "square" ? "" : ";border-radius:5px")),
            element("span", "overflow:hidden;text-overflow:ellipsis;white-space:nowrap", name),
            element("span", "color:#555;font-size:11px", column.counts[c].toLocaleString("en")));
          row.addEventListener("click", () => { hidden.has(c) ? hidden.delete(c) : hidden.add(c); show(); });
          row.addEventListener("dblclick", () => {
            const alone = hidden.size === column.names.length - 1 && !hidden.has(c);
            hidden = new Set(alone ? [] : column.names.map((_, other) => other).filter((other) => other !== c));
            show();
          });
          return row;
        });
        const show = () => {
          rows.forEach((row, c) => {
            row.style.opacity = hidden.has(c) ? 0.4 : 1;
            row.setAttribute("aria-pressed", String(!hidden.has(c)));
          });
          draw();
        };
        legend.append(...rows);
        show();
      };
      const color = (next) => {
        column = next;
        hidden = new Set();
        shades = (column ? column.palette : ["#3f90da"]).map(rgb).map((shade) =>
          Array.from({ length: HAZES }, (_, level) =>
            shade.map((value) => value + HAZE * (level + 0.5) / HAZES * (255 - value))));
        writeLegend();
        draw();
      };
      return {
        help: "drag to turn, shift and drag to move, scroll to zoom",
        lassoHelp: "",
        draw(first) {
          goHome();
          color(first);
          paint();
          new ResizeObserver(draw).observe(canvas);
        },
        color,
        mark(i, close, far) { lit = { i, close, far }; draw(); },
        unmark() { lit = null; draw(); },
        only(some) {
          chosen = some && new Uint8Array(count);
          if (some) for (const i of some) chosen[i] = 1;
          draw();
        },
        endLasso() {},
      };
    };
`;
