/**
 * Where answers go: to the kernel, which has them on its disk before it says what is next; without one, to this browser.
 *
 * @module
 */
/// <reference lib="dom" />

import type { TrialAnswer, TrialData, TrialImage, TrialState } from "./data.ts";

/** Why an answer was not taken. */
export class Refused extends Error {
  override name = "Refused";
  /** What the kernel says is next, if it says so. */
  readonly state: TrialState | undefined;

  constructor(message: string, state?: TrialState) {
    super(message);
    this.state = state;
  }
}

/** Takes the answers of one person. */
export interface Answers {
  /** Where they are, in words. */
  readonly where: string;
  /** @throws {Refused} or a network's error, if nobody says */
  state(): Promise<TrialState>;
  /** @throws {Refused} with what is next where another one was answered in the meantime */
  add(answer: TrialAnswer): Promise<TrialState>;
  /** The address of an image's picture. */
  picture(image: TrialImage): Promise<string>;
}

/** A text that this browser keeps, if it does. */
export const kept = {
  get(key: string): string | null {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  },
  /** @returns whether it is kept */
  set(key: string, text: string | null): boolean {
    try {
      if (text === null) localStorage.removeItem(key);
      else localStorage.setItem(key, text);
      return true;
    } catch {
      return false;
    }
  },
};

/** Where the browser keeps what the kernel had last, for when it is gone. */
const knownKey = ({ id }: TrialData, person: string) => `convlens-trial-known/${id}/${person}`;

/** A list that the browser keeps; none where somebody else has put something else there. */
function keptList<Item>(key: string): Item[] {
  try {
    const found = JSON.parse(kept.get(key) ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

/** Answers that the kernel takes. */
export class KernelAnswers implements Answers {
  readonly where: string;
  readonly #data: TrialData;
  readonly #person: string;

  constructor(data: TrialData, person: string) {
    this.#data = data;
    this.#person = person;
    this.where = data.file!;
  }

  async #ask(what: string, question: object): Promise<Response> {
    const response = await fetch(`${this.#data.url}/${what}`, { method: "POST", body: JSON.stringify(question) });
    if (response.ok) return response;
    const said = await response.json().catch(() => ({}));
    throw new Refused(said.message ?? `The kernel answered ${response.status}.`, said.state);
  }

  async state(): Promise<TrialState> {
    return this.#noted(await (await this.#ask("state", { person: this.#person })).json());
  }

  async add(answer: TrialAnswer): Promise<TrialState> {
    return this.#noted(await (await this.#ask("answer", answer)).json());
  }

  #noted(state: TrialState): TrialState {
    kept.set(knownKey(this.#data, this.#person), JSON.stringify(state.answered));
    return state;
  }

  async picture({ code, picture }: TrialImage): Promise<string> {
    return picture ?? URL.createObjectURL(await (await this.#ask("image", { image: code })).blob());
  }
}

/** Answers that the page keeps, and the browser if it can, until they are downloaded. */
export class PageAnswers implements Answers {
  readonly where = "this browser";
  /** Whether the browser keeps them: else they end with the page. */
  isKept = true;
  readonly #data: TrialData;
  readonly #person: string;
  readonly #elsewhere: ReadonlySet<string>;
  #answers: TrialAnswer[] = [];

  /** @param known the codes of images that the kernel had answers for before it went */
  constructor(data: TrialData, person: string, known: readonly string[] = []) {
    this.#data = data;
    this.#person = person;
    const answered = Object.hasOwn(data.answered, person) ? data.answered[person] : [];
    this.#elsewhere = new Set([...known, ...answered, ...keptList<string>(knownKey(data, person))]);
    this.#read();
  }

  get #key(): string {
    return `convlens-trial/${this.#data.id}/${this.#person}`;
  }

  /** Another tab may have written meanwhile. */
  #read(): void {
    if (kept.get(this.#key) !== null) this.#answers = keptList(this.#key);
  }

  #write(): void {
    this.isKept = kept.set(this.#key, this.#answers.length ? JSON.stringify(this.#answers) : null);
  }

  /** All that the page has, as lines of JSON. */
  get lines(): string {
    return this.#answers.map((answer) => `${JSON.stringify(answer)}\n`).join("");
  }

  get count(): number {
    return this.#answers.length;
  }

  #state(): TrialState {
    const own = new Set(this.#answers.map(({ image }) => image));
    const answered = this.#data.images.map(({ code }) => code)
      .filter((code) => own.has(code) || this.#elsewhere.has(code));
    // Of the images that only the kernel has, none can be shown here.
    const next = this.#data.images.find(({ code, picture }) => picture && !answered.includes(code));
    return { answered, next: next?.code ?? null };
  }

  state(): Promise<TrialState> {
    this.#read();
    return Promise.resolve(this.#state());
  }

  add(answer: TrialAnswer): Promise<TrialState> {
    this.#read();
    const state = this.#state();
    if (state.answered.includes(answer.image)) {
      return Promise.reject(new Refused("This image was answered in another tab.", state));
    }
    this.#answers.push(answer);
    this.#write();
    return Promise.resolve(this.#state());
  }

  picture({ picture }: TrialImage): Promise<string> {
    return Promise.resolve(picture!);
  }

  /**
   * Brings what was answered without the kernel to it, in its order; what it does not take yet, as where its file was put
   * away meanwhile, stays here.
   *
   * @returns how many it took
   */
  async bringTo(kernel: Answers): Promise<number> {
    let brought = 0;
    for (; this.#answers.length > 0; this.#answers.shift(), this.#write()) {
      const [answer] = this.#answers;
      try {
        await kernel.add(answer);
        brought++;
      } catch (error) {
        if (!(error instanceof Refused && error.state)) throw error;
        // Only where it has an answer for this image already is this one not needed.
        if (!error.state.answered.includes(answer.image)) return brought;
      }
    }
    return brought;
  }
}
