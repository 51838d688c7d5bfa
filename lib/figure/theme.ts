/**
 * The colours of a drawing: on white, or on a dark ground, as for slides.
 *
 * @module
 */

/** On what ground a figure is drawn. */
export type ThemeName = "light" | "dark";

/** The colours that words, axes, bars and series are drawn in. */
export interface Theme {
  readonly ground: string;
  readonly ink: string;
  readonly softInk: string;
  readonly bar: string;
  /** What a bar has not filled, and frames. */
  readonly faint: string;
  /** The ground and the edge of a chart. */
  readonly card: string;
  readonly cardEdge: string;
  /** A chart's lines at ticks, and its zero line. */
  readonly grid: string;
  readonly frame: string;
  /** The colours of series, in their order. */
  readonly series: readonly string[];
  /** By what share the colours of points are moved towards white, to be seen on this ground. */
  readonly lift: number;
}

export const THEMES: Record<ThemeName, Theme> = {
  light: {
    ground: "#ffffff",
    ink: "#1a1a1a",
    softInk: "#555555",
    bar: "#3b82c4",
    faint: "#dfe3e8",
    card: "#ffffff",
    cardEdge: "#d0d5dd",
    grid: "#e6e8ec",
    frame: "#9aa1ab",
    // Okabe and Ito's, safe for colour blindness, without the yellow, which is too faint on white.
    series: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"],
    lift: 0,
  },
  dark: {
    ground: "#14171c",
    ink: "#f2f4f7",
    softInk: "#b3bac4",
    bar: "#5aa2e0",
    faint: "#343a43",
    card: "#1b1f26",
    cardEdge: "#3a414b",
    grid: "#2c323b",
    frame: "#78818d",
    // The same hues, lighter; white for black.
    series: ["#4ca6e8", "#f5844c", "#2cc79c", "#e3a3c8", "#f2bd3d", "#a3dbf8", "#ffffff"],
    lift: 0.3,
  },
};
