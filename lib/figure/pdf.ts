/**
 * Drawings as PDF, by PDFKit, which is loaded when it is first needed.
 *
 * @module
 */

import type { Drawing } from "./blocks.ts";
import { svgDocument } from "./draw.ts";
import { fontBytes } from "./text.ts";

const PDFKIT = "npm:pdfkit@0.20.2";
const SVG_TO_PDFKIT = "npm:svg-to-pdfkit@0.1.8";

/** A pixel of the page in points: 72 to 96. */
const POINTS = 0.75;

/** What is used of a document of PDFKit, a stream of chunks. */
interface Document {
  on(event: "data", listener: (chunk: Uint8Array) => void): void;
  on(event: "end" | "error", listener: (error?: unknown) => void): void;
  registerFont(name: string, bytes: Uint8Array): void;
  end(): void;
}

/**
 * A drawing as a PDF of one page.
 *
 * @param drawing its text as `<text>`
 * @param title what viewers call the document
 * @param width of the page in pixels, 96 to an inch
 */
export async function pdfOf(drawing: Drawing, title: string, width = drawing.width): Promise<Uint8Array> {
  const [{ PDFDocument }, { default: toPdf }] = await Promise.all([import(PDFKIT), import(SVG_TO_PDFKIT)]) as [
    { PDFDocument: new (options: Record<string, unknown>) => Document },
    { default: (doc: Document, svg: string, x: number, y: number, options: Record<string, unknown>) => void },
  ];
  const regular = await fontBytes("regular");
  const doc = new PDFDocument({
    size: [width * POINTS, drawing.height * width / drawing.width * POINTS],
    margin: 0,
    font: regular,
    info: { Title: title, Creator: "convlens" },
  });
  const chunks: Uint8Array[] = [];
  const done = new Promise<void>((resolve, reject) => {
    doc.on("data", (chunk) => chunks.push(chunk));
    doc.on("end", () => resolve());
    doc.on("error", reject);
  });
  doc.registerFont("regular", regular);
  doc.registerFont("bold", await fontBytes("bold"));
  toPdf(doc, svgDocument(drawing, width), 0, 0, {
    fontCallback: (_family: string, bold: boolean) => bold ? "bold" : "regular",
    warningCallback: (warning: string) => {
      throw new Error(`This figure cannot be drawn as a PDF: ${warning}. Save it as .svg instead.`);
    },
  });
  doc.end();
  await done;
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}
