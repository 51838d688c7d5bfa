/**
 * A cell for labelling: where no script runs, a card that says so.
 *
 * @module
 */

import { scriptJson } from "../format.ts";
import scripts from "../page/bundle.json" with { type: "json" };
import type { TrialData } from "../page/data.ts";
import type { Live } from "./blocks.ts";

export type { TrialBranch, TrialData, TrialState } from "../page/data.ts";

const WIDTH = 640;
const LINE = 20;

/** @param lines what the card says where no script runs */
export function trialBlock(data: TrialData, lines: readonly string[]): Live {
  return {
    kind: "live",
    className: "convlens-trial",
    alt: lines.join(" "),
    still: (type, theme) => {
      const wrapped = lines.flatMap((line) => type.wrap(line, 13, WIDTH - 32));
      const height = wrapped.length * LINE + 24;
      const text = wrapped.map((line, i) => type.text(line, 16, 26 + i * LINE, { size: 13, color: theme.ink })).join(
        "",
      );
      return {
        width: WIDTH,
        height,
        svg: `<rect x=".5" y=".5" width="${WIDTH - 1}" height="${
          height - 1
        }" rx="6" fill="${theme.card}" stroke="${theme.cardEdge}"/>${text}`,
      };
    },
    html: () =>
      Promise.resolve(
        `<script type="application/json">${scriptJson(data)}</script><script>${scripts.trial}</script>`,
      ),
  };
}
