/**
 * A notebook as one HTML page that needs no network.
 *
 * @module
 */

import { escapeHtml } from "../format.ts";
import { joined, type Notebook, type Output } from "./notebook.ts";
import { onlyOnce } from "../figure/map/plotly.ts";

const MARKED = "npm:marked@18.2.1";

const KEYWORDS = "abstract as async await break case catch class const continue default delete do else enum export " +
  "extends false finally for from function if implements import in instanceof interface let new null of return " +
  "satisfies static super switch this throw true try type typeof undefined using var void while yield";

const TOKEN = new RegExp(
  [
    String.raw`(?<comment>\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$))`,
    String.raw`(?<string>"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|\x60(?:\\[\s\S]|[^\x60\\])*\x60?)`,
    String.raw`(?<number>\b\d[\w.]*)`,
    String.raw`(?<keyword>(?<![\w$.])(?:${KEYWORDS.replaceAll(" ", "|")})(?![\w$]))`,
    String.raw`(?<call>(?<![\w$])[A-Za-z_$][\w$]*(?=\())`,
  ].join("|"),
  "g",
);

/** TypeScript with its comments, strings, numbers, keywords and calls marked. */
function highlight(code: string): string {
  let html = "";
  let end = 0;
  for (const match of code.matchAll(TOKEN)) {
    const [kind] = Object.entries(match.groups!).find(([, text]) => text !== undefined)!;
    html += escapeHtml(code.slice(end, match.index)) + `<span class="${kind}">${escapeHtml(match[0])}</span>`;
    end = match.index + match[0].length;
  }
  return html + escapeHtml(code.slice(end));
}

/** Text of a terminal as HTML: its eight colours and bold stay, other control sequences go. */
function terminalHtml(text: string): string {
  let open = false;
  // deno-lint-ignore no-control-regex
  const html = escapeHtml(text).replace(/\x1b\[([\d;]*)([A-Za-z])/g, (_, codes: string, command: string) => {
    if (command !== "m") return "";
    const close = open ? "</span>" : "";
    const classes = codes.split(";").filter((code) => /^(1|[39][0-7])$/.test(code)).map((code) => `ansi-${code}`);
    open = classes.length > 0;
    return close + (open ? `<span class="${classes.join(" ")}">` : "");
  });
  return html + (open ? "</span>" : "");
}

const IMAGES = ["image/png", "image/jpeg"];

function bundleHtml(data: Record<string, unknown>, markdown: (text: string) => string): string {
  const text = (type: string) => joined(data[type] as string | string[]);
  const alt = "text/plain" in data ? escapeHtml(text("text/plain")) : "";
  if ("text/html" in data) return text("text/html");
  const image = IMAGES.find((type) => type in data);
  if (image) return `<img alt="${alt}" src="data:${image};base64,${escapeHtml(text(image).replace(/\s/g, ""))}">`;
  if ("image/svg+xml" in data) {
    return `<img alt="${alt}" src="data:image/svg+xml,${encodeURIComponent(text("image/svg+xml"))}">`;
  }
  if ("text/markdown" in data) return markdown(text("text/markdown"));
  return "text/plain" in data ? `<pre>${terminalHtml(text("text/plain"))}</pre>` : "";
}

function outputHtml(output: Output, markdown: (text: string) => string): string {
  if (output.output_type === "stream") {
    return `<pre class="${output.name === "stderr" ? "stderr" : "stdout"}">${terminalHtml(joined(output.text))}</pre>`;
  }
  if (output.output_type === "error") {
    const lines = output.traceback.length ? output.traceback : [`${output.ename}: ${output.evalue}`];
    return `<pre class="error">${terminalHtml(lines.join("\n"))}</pre>`;
  }
  return bundleHtml(output.data, markdown);
}

/** A renderer of Markdown that passes no HTML, no script and no address outside the page's reach through. */
async function markdownRenderer(): Promise<(text: string) => string> {
  const { Marked } = await import(MARKED) as typeof import("npm:marked@18.2.1");
  const safe = (href: string) => /^(https?:|mailto:|#|[^:]*$)/i.test(href.trim()) ? href : "";
  const marked = new Marked({ async: false, gfm: true }, {
    renderer: {
      html: ({ text }) => escapeHtml(text),
      code: ({ text, lang }) =>
        `<pre>${/^(ts|js|typescript)/.test(lang ?? "") ? highlight(text) : escapeHtml(text)}</pre>`,
      image: ({ href, text }) =>
        /^data:image\//.test(href)
          ? `<img alt="${escapeHtml(text)}" src="${escapeHtml(href)}">`
          : `<a href="${escapeHtml(safe(href))}">${escapeHtml(text || href)}</a>`,
      link({ href, tokens }) {
        return `<a href="${escapeHtml(safe(href))}">${this.parser.parseInline(tokens)}</a>`;
      },
    },
  });
  return (text) => marked.parse(text) as string;
}

const STYLE = `
:root { color-scheme: light dark; --paper: #fff; --ink: #1d2129; --faint: #667085; --line: #e3e6ec; --code: #f6f7f9;
  --comment: #667085; --string: #0b7261; --number: #9a4a00; --keyword: #7a3e9d; --call: #1f5fbf; --error: #fdecec; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14161a; --ink: #e6e8ec; --faint: #98a2b3; --line: #2c313a; --code: #1d2026; --comment: #98a2b3;
    --string: #6fd1b8; --number: #f0b27a; --keyword: #d3a6f0; --call: #8ab8ff; --error: #3a1d1f; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 18px/1.6 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 48px 24px 96px; }
h1, h2, h3 { line-height: 1.25; margin: 1.8em 0 0.6em; }
h1 { font-size: 2.2em; margin-top: 0; }
h2 { font-size: 1.5em; padding-top: 0.8em; border-top: 1px solid var(--line); }
a { color: var(--call); }
pre, code { font: 15px/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.markdown pre, .markdown :not(pre) > code { background: var(--code); border-radius: 4px; padding: 0.1em 0.35em; }
.markdown pre { padding: 12px 16px; }
.markdown pre, .markdown table { margin: 1em 0; }
.markdown table { border-collapse: collapse; }
.markdown th, .markdown td { padding: 4px 12px; border-bottom: 1px solid var(--line); text-align: left; }
.markdown blockquote { margin: 1em 0; padding-left: 16px; border-left: 3px solid var(--line); color: var(--faint); }
.code { margin: 24px 0; }
.input { background: var(--code); border-left: 3px solid var(--call); border-radius: 4px; padding: 12px 16px; }
.output { margin: 12px 0 0; overflow-x: auto; }
.output img { max-width: 100%; }
.output > pre { padding: 4px 16px; }
.output > pre.stderr, .output > pre.error { background: var(--error); border-radius: 4px; padding: 12px 16px; }
.comment { color: var(--comment); font-style: italic; } .string { color: var(--string); }
.number { color: var(--number); } .keyword { color: var(--keyword); } .call { color: var(--call); }
.ansi-1 { font-weight: 600; } .ansi-30, .ansi-90 { color: var(--faint); } .ansi-31, .ansi-91 { color: #d3423e; }
.ansi-32, .ansi-92 { color: var(--string); } .ansi-33, .ansi-93 { color: var(--number); }
.ansi-34, .ansi-94 { color: var(--call); } .ansi-35, .ansi-95 { color: var(--keyword); }
.ansi-36, .ansi-96 { color: var(--string); }
@media print { main { max-width: none; padding: 0; } .code { break-inside: avoid; } }
`;

/** Nothing may be fetched: what a figure needs is in the page. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval' blob:; " +
  "img-src data: blob:; font-src data:; media-src data:; worker-src blob:; connect-src data: blob:";

/**
 * The notebook as one HTML document: text, code with colours, outputs. It needs no network, and its policy forbids any;
 * the scripts of HTML outputs run. What is no HTML output is escaped, HTML in Markdown too.
 *
 * The first heading is its title. Of an output's forms the page takes the first it has of HTML, PNG, JPEG, SVG, Markdown, plain text. A picture in
 * Markdown is shown if it is a `data:` address, and is a link otherwise.
 */
export async function notebookPage(notebook: Notebook): Promise<string> {
  const markdown = await markdownRenderer();
  const texts = notebook.cells.filter((cell) => cell.cell_type === "markdown").map((cell) => joined(cell.source));
  const title = texts.join("\n").match(/^#+ +(.*)$/m)?.[1] ?? "Notebook";
  const cells = notebook.cells.map((cell) => {
    const source = joined(cell.source);
    if (cell.cell_type === "markdown") return `<section class="markdown">${markdown(source)}</section>`;
    if (cell.cell_type !== "code") return "";
    const outputs = cell.outputs.map((output) => `<div class="output">${outputHtml(output, markdown)}</div>`);
    const input = source.trim() && `<pre class="input">${highlight(source)}</pre>`;
    return `<section class="code">${input}${outputs.join("\n")}</section>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${onlyOnce(cells.filter(Boolean).join("\n"))}
</main>
</body>
</html>
`;
}
