/**
 * Reading on all cores: what comes next is read while the reader works on what came before.
 *
 * @module
 */

/** Bytes of images that are read and not yet asked for, at most; but always two images. */
const BYTES_AHEAD = 4e8;

/** What was read of an item, or why it could not be. */
export interface Read<Item, Value> {
  readonly item: Item;
  /** Gives what was read; rejects with the reason why it could not be. */
  readonly value: () => Promise<Value>;
}

/** How items are read. */
export interface ReadAheadOptions<Item, Value> {
  /** Reads an item; `place` counts from 0. */
  read(item: Item, place: number): Promise<Value>;
  /** Whether more items may be asked for while this one is read: where that costs nothing. */
  goOn(item: Item): boolean;
  /** How many bytes an image takes while it is read. */
  bytes(value: Value): number;
}

/**
 * Reads items in their order, some at the same time: one for each core and two more, fewer of large ones. What the
 * source fails with comes in its place, after all that was read before.
 */
export async function* readAhead<Item, Value>(
  items: AsyncIterable<Item>,
  { read, goOn, bytes }: ReadAheadOptions<Item, Value>,
): AsyncGenerator<Read<Item, Value>, undefined> {
  const source = items[Symbol.asyncIterator]();
  const most = navigator.hardwareConcurrency + 2;
  // The first is read alone, so that its size is known before others are begun.
  let ahead = 1;
  let place = 0;
  let ended = false;
  const waiting: { item?: Item; value: Promise<Value> }[] = [];
  const pull = async () => {
    try {
      const { done, value: item } = await source.next();
      if (done) return void (ended = true);
      const value = read(item, place++);
      waiting.push({ item, value });
      value.then((value) => ahead = Math.max(2, Math.min(most, Math.floor(BYTES_AHEAD / bytes(value)))), () => {});
    } catch (error) {
      ended = true;
      waiting.push({ value: Promise.reject(error) });
    }
    // Whoever asks for it hears of it; one that nobody asks for is no failure.
    waiting.at(-1)!.value.catch(() => {});
  };
  try {
    while (true) {
      while (!ended && (waiting.length === 0 || (waiting.length < ahead && goOn(waiting.at(-1)!.item!)))) await pull();
      const first = waiting.shift();
      if (!first) return;
      if (!("item" in first)) await first.value;
      yield { item: first.item!, value: () => first.value };
    }
  } finally {
    if (!ended) await source.return?.();
  }
}
