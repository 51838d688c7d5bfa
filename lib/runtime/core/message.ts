/** Errors of other libraries, told in one line. @module */

/** What was thrown, as one line without its full stop. tfjs also throws plain objects that only have a message. */
export function messageOf(thrown: unknown): string {
  const { message = thrown } = (thrown ?? {}) as { message?: unknown };
  return String(message).trim().replace(/\s+/g, " ").replace(/\.$/, "");
}
