import { describe, expect, test } from "vitest";
import type { CodeCell, Notebook, Output, TextCell } from "../../lib/tools/notebook.ts";
import { notebookPage } from "../../lib/tools/notebook_page.ts";

const text = (source: string): TextCell => ({ cell_type: "markdown", id: "a", metadata: {}, source });
const code = (source: string, ...outputs: Output[]): CodeCell => ({
  cell_type: "code",
  id: "b",
  metadata: {},
  source,
  execution_count: 1,
  outputs,
});
const show = (data: Record<string, unknown>): Output => ({ output_type: "display_data", data, metadata: {} });
const notebook = (...cells: Notebook["cells"]): Notebook => ({ nbformat: 4, nbformat_minor: 5, metadata: {}, cells });

/** What stands between `<main>` and `</main>`. */
async function body(...cells: Notebook["cells"]): Promise<string> {
  const page = await notebookPage(notebook(...cells));
  return page.slice(page.indexOf("<main>") + 6, page.indexOf("</main>")).trim();
}

describe("notebookPage", () => {
  test("takes its title from the options or from the first heading", async () => {
    const cells = [text("Hello\n\n## What a <dog> is\n\n# More")];
    expect(await notebookPage(notebook(...cells))).toContain("<title>What a &lt;dog&gt; is</title>");
  });

  test("renders Markdown, but no HTML and no script in it", async () => {
    const html = await body(text([
      "# A *dog*\n\n<script>bad()</script>\n\na <img src=x onerror=bad()> b",
      "\n\n[go](javascript:bad()) [there](https://example.org/?a=1&b=2) ![photo](https://example.org/a.png)",
      '\n\n```html\n<b>"x"</b>\n```',
    ].join("")));
    expect(html).toContain("<h1>A <em>dog</em></h1>");
    expect(html).not.toMatch(/<script|<img|javascript:/);
    expect(html).toContain("&lt;script&gt;bad()&lt;/script&gt;");
    expect(html).toContain('<a href="">go</a>');
    expect(html).toContain('<a href="https://example.org/?a=1&amp;b=2">there</a>');
    expect(html).toContain('<a href="https://example.org/a.png">photo</a>');
    expect(html).toContain("<pre>&lt;b&gt;&quot;x&quot;&lt;/b&gt;</pre>");
  });

  test("colours code and escapes it", async () => {
    const html = await body(code("const a = `<b>` + f(1.5); // </pre>\nx.of /* y */"));
    expect(html).toBe(
      '<section class="code"><pre class="input"><span class="keyword">const</span> a = ' +
        '<span class="string">`&lt;b&gt;`</span> + <span class="call">f</span>(<span class="number">1.5</span>); ' +
        '<span class="comment">// &lt;/pre&gt;</span>\nx.of <span class="comment">/* y */</span></pre></section>',
    );
  });

  test.each([
    ["HTML as it is", { "text/html": ["<b>", "1</b>"], "image/png": "AAAA", "text/plain": "1" }, "<b>1</b>"],
    [
      "PNG before text",
      { "image/png": "AA\nAA\n", "text/plain": 'a "<dog>"' },
      '<img alt="a &quot;&lt;dog&gt;&quot;" src="data:image/png;base64,AAAA">',
    ],
    ["SVG as an image", { "image/svg+xml": "<svg/>" }, '<img alt="" src="data:image/svg+xml,%3Csvg%2F%3E">'],
    ["Markdown", { "text/markdown": "*a* <b>" }, "<p><em>a</em> &lt;b&gt;</p>\n"],
    ["text", { "text/plain": "<b> \x1b[32mgreen\x1b[39m" }, '<pre>&lt;b&gt; <span class="ansi-32">green</span></pre>'],
    ["nothing of what it does not know", { "application/json": {} }, ""],
  ])("shows %s", async (_, data, html) => {
    expect(await body(code("", show(data)))).toBe(
      `<section class="code"><div class="output">${html}</div></section>`,
    );
  });

  test("shows streams and errors, escaped", async () => {
    const html = await body(code(
      "",
      { output_type: "stream", name: "stdout", text: "<i>\n" },
      { output_type: "stream", name: "stderr", text: ["a\n", "b"] },
      { output_type: "error", ename: "E", evalue: "<v>", traceback: [] },
      { output_type: "error", ename: "E", evalue: "v", traceback: ["\x1b[1;31mE\x1b[0m: <t>", "at x"] },
    ));
    expect(html).toContain('<pre class="stdout">&lt;i&gt;\n</pre>');
    expect(html).toContain('<pre class="stderr">a\nb</pre>');
    expect(html).toContain('<pre class="error">E: &lt;v&gt;</pre>');
    expect(html).toContain('<pre class="error"><span class="ansi-1 ansi-31">E</span>: &lt;t&gt;\nat x</pre>');
  });

  test("forbids itself the network", async () => {
    const page = await notebookPage(notebook(text("# A")));
    expect(page).toMatch(/Content-Security-Policy" content="default-src 'none';/);
    expect(page.match(/https?:\/\/[^\s"')]+/g)).toBeNull();
  });
});
