/** Damage to files, for tests of what reads them. */

/** Changes some bytes: flips, gaps, doubled and zeroed parts, cuts and additions. */
export function mutated(good: Uint8Array, random: () => number): Uint8Array<ArrayBuffer> {
  const at = () => Math.floor(random() * good.length);
  const bytes = good.slice();
  const [from, length] = [at(), 1 + Math.floor(random() * 64)];
  switch (Math.floor(random() * 7)) {
    case 0:
      for (let i = 0; i < 3; i++) bytes[at()] ^= 1 + Math.floor(random() * 255);
      return bytes;
    case 1: // One bit, near the beginning.
      bytes[Math.floor(random() * 2000)] ^= 1 << Math.floor(random() * 8);
      return bytes;
    case 2:
      return good.slice(0, from);
    case 3:
      return bytes.fill(0, from, from + length);
    case 4:
      return Uint8Array.of(...good.subarray(0, from), ...good.subarray(from + length));
    case 5:
      return Uint8Array.of(...good.subarray(0, from), ...good.subarray(Math.max(0, from - length)));
    default:
      return Uint8Array.of(...good, ...good.subarray(0, length));
  }
}

/** Changes one value of a JSON document, or takes it away, or puts another in its place. */
export function changeValue(json: string, random: () => number): string {
  const root = JSON.parse(json);
  const places: { holder: Record<string, unknown>; key: string }[] = [];
  const visit = (holder: Record<string, unknown>) => {
    for (const key of Object.keys(holder)) {
      places.push({ holder, key });
      if (typeof holder[key] === "object" && holder[key] !== null) visit(holder[key] as Record<string, unknown>);
    }
  };
  visit(root);
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)];
  const { holder, key } = pick(places);
  const other = pick(places);
  const replacements: (() => void)[] = [
    () => delete holder[key],
    () => holder[key] = null,
    () => holder[key] = pick([-1, 0, 0.5, 1e9, 1e300, 3]),
    () => holder[key] = pick(["", "x", "constructor", "__proto__", "../x", "relu", "conv2d"]),
    () => holder[key] = pick<unknown>([[], {}, [[]], [null], true, false]),
    () => holder[key] = structuredClone(other.holder[other.key]),
    () => holder[`${key}_`] = holder[key],
    () => Array.isArray(holder) && holder.push(structuredClone(holder[key as never])),
  ];
  pick(replacements)();
  return JSON.stringify(root);
}

/** Changes what a protocol buffer says of its own parts: lengths, types and numbers of fields, whole fields. */
export function changeFields(good: Uint8Array, random: () => number): Uint8Array<ArrayBuffer> {
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)];
  /** The fields of a message: where each begins, where its content does, and where it ends; undefined if it is none. */
  const fieldsOf = (from: number, to: number) => {
    const fields: { start: number; content: number; end: number; type: number }[] = [];
    const varint = (at: number) => {
      let [value, shift] = [0, 0];
      for (; at < to && good[at] & 128; at++, shift += 7) value += (good[at] & 127) * 2 ** shift;
      return at < to && shift < 64 ? { value: value + good[at] * 2 ** shift, at: at + 1 } : undefined;
    };
    for (let at = from; at < to;) {
      const key = varint(at);
      const type = key && key.value & 7;
      const next = key && (type === 0 || type === 2 ? varint(key.at) : { value: 0, at: key.at });
      if (!key || !next || key.value < 8 || ![0, 1, 2, 5].includes(type!)) return undefined;
      const end = next.at + (type === 2 ? next.value : type === 1 ? 8 : type === 5 ? 4 : 0);
      if (end > to) return undefined;
      fields.push({ start: at, content: type === 2 ? next.at : key.at, end, type: type! });
      at = end;
    }
    return fields;
  };
  let [from, to, depth] = [0, good.length, 1 + Math.floor(random() * 5)];
  let field = pick(fieldsOf(from, to)!);
  while (--depth > 0 && field.type === 2) {
    const inner = fieldsOf(field.content, field.end);
    if (!inner?.length) break;
    [from, to] = [field.content, field.end];
    field = pick(inner);
  }
  const { start, content, end } = field;
  const put = (...parts: (Uint8Array | number[])[]) => Uint8Array.from(parts.flatMap((part) => [...part]));
  const [head, body, tail] = [good.subarray(0, start), good.subarray(start, end), good.subarray(end)];
  const huge = pick([[255, 255, 255, 255, 15], [255, 255, 255, 255, 255, 255, 255, 255, 127], Array(10).fill(255)]);
  switch (Math.floor(random() * 6)) {
    case 0: // The length, or the number, becomes huge.
      return put(head, good.subarray(start, start + 1), huge, good.subarray(content));
    case 1:
      return put(head, tail);
    case 2:
      return put(head, body, body, tail);
    case 3: // Another number or type of field.
      return put(head, [good[start] ^ (1 << Math.floor(random() * 7))], good.subarray(start + 1));
    case 4: // A message in itself, in itself …
      return put(head, ...Array.from({ length: 2000 }, () => [good[start] | 2, 255, 255, 127]), tail);
    default:
      return put(head, body.map((byte, i) => i === body.length - 1 ? byte ^ 255 : byte), tail);
  }
}
