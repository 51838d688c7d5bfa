/**
 * A cell for labelling: one image at a time, its classes chosen by typing or from a tree, by the keyboard alone.
 *
 * @module
 */
/// <reference lib="dom" />

import type { TrialAnswer, TrialData, TrialImage, TrialState } from "./data.ts";
import { button, element, enliven, FIELD, KEEP_KEYS, oncePerPage, takeJson } from "./dom.ts";
import { fitted } from "./spots.ts";
import { type Answers, kept, KernelAnswers, PageAnswers, Refused } from "./trial_answers.ts";
import { CARD, ClassChooser, LIT, SOFT } from "./trial_chooser.ts";

/** The side of the square that an image is shown in; a smaller one in which few pixels are shown. */
const SIDE = 380;
const SMALL_SIDE = 192;
const FEW_PIXELS = 96;

const RIGHT = "#1f9d66";
const WRONG = "#d55e00";

const GONE =
  "The kernel does not answer. This answer is kept here meanwhile: run the cell again, or press Enter to try " +
  "again.";

/** The column with the image and its labels is at least as wide, so that nothing moves when a label comes. */
const COLUMN = 340;

/** A key as it is drawn. */
const key = (name: string) =>
  element("kbd", `${CARD};padding:0 5px;font-size:90%;font-family:inherit;white-space:nowrap`, {}, name);

const numbered = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;

/** How long something has been seen: the time in which its tab is hidden does not count. */
class Watch {
  #since: number | undefined;
  #sum = 0;
  readonly #turn = () => this.#set(!document.hidden);

  constructor() {
    document.addEventListener("visibilitychange", this.#turn);
    this.#turn();
  }

  #set(running: boolean): void {
    const now = performance.now();
    if (this.#since !== undefined) this.#sum += now - this.#since;
    this.#since = running ? now : undefined;
  }

  stop(): number {
    this.#set(false);
    document.removeEventListener("visibilitychange", this.#turn);
    return this.#sum / 1000;
  }
}

/** One cell. */
class Trial {
  readonly #root: HTMLElement;
  readonly #data: TrialData;
  readonly #status = element("div", "min-height:1.4em;margin:6px 0 0 0", {
    role: "status",
    class: "convlens-trial-status",
  });
  readonly #open = new Set<string>();
  #person = "";
  #answers!: Answers;
  #own: PageAnswers | undefined;
  #state: TrialState = { answered: [], next: null };
  #chooser: ClassChooser | undefined;
  #image: TrialImage | undefined;
  #labels: string[] = [];
  #chips = element("ol", "", { class: "convlens-trial-labels" });
  #watch: Watch | undefined;
  #shown = "";
  /** What Enter does while it does not choose a class. */
  #enter: () => void = () => {};
  #busy = false;

  constructor(root: HTMLElement, data: TrialData) {
    this.#root = root;
    this.#data = data;
    for (const [name, value] of Object.entries(KEEP_KEYS)) root.setAttribute(name, value);
    root.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("visibilitychange", () => void this.#lookAgain());
  }

  get #training(): number {
    return this.#data.images.filter(({ truth }) => truth !== undefined).length;
  }

  #draw(...content: (Node | string)[]): void {
    const card = `${CARD};padding:14px 16px;max-width:960px;box-sizing:border-box;line-height:1.45`;
    this.#root.replaceChildren(element("div", card, { class: "convlens-trial-card" }, ...content, this.#status));
  }

  #say(text: string, color = ""): void {
    this.#status.textContent = text;
    this.#status.style.color = color;
  }

  /** The first page: what is to be done, by which keys. */
  start(): void {
    const data = this.#data;
    const [training, test] = [this.#training, data.images.length - this.#training];
    const classes = `${data.classes.length} classes`;
    const many = data.most === 1 ? "the class" : `up to ${data.most} classes, the likeliest first`;
    const lines = [
      `${
        numbered(data.images.length, "image")
      }, one at a time. Say what each shows: ${many}, of ${classes}. A guess counts.`,
      ...training
        ? [
          `The first ${
            training === 1 ? "one is" : `${training} are`
          } for training: the truth is shown after your answer. ` +
          `Of the other ${test} nothing is shown.`,
        ]
        : [],
    ];
    const keys: [string[], string][] = [
      [["a … z"], "find a class"],
      [["↑", "↓"], "go through the list"],
      ...data.tree.branches.length ? [[["→", "←"], "open and close a group"] as [string[], string]] : [],
      [["Enter"], "take the class; with nothing typed, the next image"],
      [["Backspace"], "take the last label back"],
      ...data.most > 1 ? [[["Alt ↑", "Alt ↓"], "move the last label up and down"] as [string[], string]] : [],
    ];
    const name = element("input", `${FIELD}padding:4px 8px`, {
      type: "text",
      placeholder: "your name",
      maxlength: 60,
      autocomplete: "off",
      class: "convlens-trial-person",
    });
    name.value = kept.get("convlens-trial-person") ?? "";
    const begin = button("Start", { class: "convlens-trial-start" });
    begin.style.fontSize = "110%";
    begin.style.padding = "4px 18px";
    begin.style.background = LIT;
    begin.addEventListener("click", () => this.#enter());
    this.#enter = () => {
      const person = data.person ?? name.value.trim();
      if (!person) {
        name.focus({ preventScroll: true });
        return this.#say("Write your name first: each person's answers are kept apart.", WRONG);
      }
      kept.set("convlens-trial-person", person);
      void this.#begin(person);
    };
    this.#draw(
      element("div", "font-weight:600;font-size:115%;margin:0 0 6px 0", {}, "What do you see?"),
      ...lines.map((line) => element("div", "margin:0 0 4px 0;max-width:680px", {}, line)),
      element(
        "div",
        "display:grid;grid-template-columns:max-content 1fr;gap:4px 12px;margin:10px 0 12px 0;align-items:baseline;" +
          "font-size:95%",
        {},
        ...keys.flatMap(([names, what]) => [
          element("div", "display:flex;gap:4px", {}, ...names.map(key)),
          element("div", "", {}, what),
        ]),
      ),
      element(
        "div",
        "display:flex;gap:10px;align-items:center;flex-wrap:wrap",
        {},
        ...data.person === undefined ? [name] : [],
        begin,
        element(
          "span",
          SOFT,
          {},
          data.url
            ? `Each answer is in ${data.file} before the next image is shown.`
            : "Answers are kept in this browser; at the end you download them.",
        ),
      ),
    );
  }

  /** Starts to take a person's answers: by the kernel, or where it does not answer by the page. */
  async #begin(person: string): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    this.#person = person;
    const data = this.#data;
    try {
      const own = new PageAnswers(data, person);
      if (data.url) {
        const kernel = new KernelAnswers(data, person);
        try {
          await kernel.state();
          const brought = await own.bringTo(kernel);
          this.#answers = kernel;
          if (brought) this.#say(`${numbered(brought, "answer")} that this browser kept went to ${data.file}.`);
        } catch (error) {
          if (error instanceof Refused) throw error;
          if (!data.images.some(({ picture }) => picture)) {
            throw new Error("The kernel does not answer, and no image is inside this page: run the cell again.");
          }
          this.#useOwn(own);
          this.#say("No kernel answers: your answers are kept in this browser until you download them.");
        }
      } else this.#useOwn(own);
      this.#state = await this.#answers.state();
      this.#busy = false;
      await this.#next();
    } catch (error) {
      this.#say((error as Error).message, WRONG);
    }
    this.#busy = false;
  }

  #useOwn(own: PageAnswers): void {
    this.#own = own;
    this.#answers = own;
    addEventListener("beforeunload", (event) => {
      if (!own.isKept && own.count) event.preventDefault();
    });
  }

  /** Another tab may have answered while this one was hidden. */
  async #lookAgain(): Promise<void> {
    if (document.hidden || !this.#image || this.#busy || !this.#watch) return;
    try {
      const state = await this.#answers.state();
      if (this.#busy || state.next === this.#image.code) return;
      this.#state = state;
      this.#say("The image before was answered in another tab.");
      await this.#next();
    } catch {
      // it is said when an answer is given
    }
  }

  /** Shows the image that is next. */
  async #next(): Promise<void> {
    this.#watch?.stop();
    this.#watch = undefined;
    const image = this.#image = this.#data.images.find(({ code }) => code === this.#state.next);
    if (!image) return this.#end();
    const picture = element("img", "display:block;margin:0;border-radius:4px", {
      alt: "the image to be named",
      class: "convlens-trial-image",
    });
    const { width, height } = image;
    const few = Math.max(width, height) <= FEW_PIXELS;
    const [shownWidth, shownHeight] = fitted(width, height, few ? SMALL_SIDE : SIDE);
    Object.assign(picture.style, { width: `${shownWidth}px`, height: `${shownHeight}px`, maxWidth: "100%" });
    if (few) picture.style.imageRendering = "pixelated";
    picture.src = await this.#answers.picture(image);
    await picture.decode();
    this.#labels = this.#draft();
    const chooser = this.#chooser = new ClassChooser(this.#data, this.#open, (name) => this.#name(name));
    this.#drawQuestion(picture, chooser);
    chooser.field.focus({ preventScroll: true });
    this.#enter = () => void this.#answer();
    this.#shown = new Date().toISOString();
    this.#watch = new Watch();
  }

  #drawQuestion(picture: HTMLElement, chooser: ClassChooser): void {
    this.#chips = element(
      "ol",
      "list-style:none;display:flex;flex-direction:column;gap:4px;margin:8px 0 0 0;padding:0",
      {
        class: "convlens-trial-labels",
        "aria-label": "your labels",
      },
    );
    this.#drawChips();
    this.#draw(
      this.#bar(),
      element(
        "div",
        "display:flex;flex-wrap:wrap;gap:20px;align-items:flex-start",
        {},
        element("div", `flex:0 0 auto;min-width:${COLUMN}px;max-width:100%`, {}, picture, this.#chips),
        chooser.root,
      ),
    );
  }

  /** Where one is in the trial. */
  #bar(): HTMLElement {
    const { images } = this.#data;
    const image = this.#image!;
    const isTraining = image.truth !== undefined;
    const group = images.filter(({ truth }) => (truth !== undefined) === isTraining);
    const place = group.indexOf(image);
    const words = `${isTraining ? "Training" : "Test"} · image ${place + 1} of ${group.length}`;
    const filled = element(
      "div",
      `height:100%;background:${isTraining ? "#e69f00" : "#3b82c4"};width:${(100 * place / group.length).toFixed(1)}%`,
    );
    return element(
      "div",
      "margin:0 0 10px 0",
      { class: "convlens-trial-bar" },
      element(
        "div",
        "display:flex;justify-content:space-between;gap:12px;margin:0 0 4px 0",
        {},
        element("span", "font-weight:600", {}, words),
        element(
          "span",
          SOFT,
          {},
          this.#person,
          ...this.#own?.count ? [" ", this.#download("Download the answers so far")] : [],
        ),
      ),
      element("div", "height:4px;background:rgba(128,128,128,.3);border-radius:2px;overflow:hidden", {}, filled),
    );
  }

  /** @param truth what it is, once that may be seen */
  #drawChips(truth?: string): void {
    const { most } = this.#data;
    const line = "display:flex;gap:8px;align-items:center;min-height:1.7em";
    const place = (text: string, color = "") =>
      element("span", `${color ? `color:${color};font-weight:600` : SOFT};width:1.2em;text-align:right`, {}, text);
    const chips = this.#labels.map((name, i) => {
      const marks = truth === undefined ? place(String(i + 1)) : name === truth ? place("✓", RIGHT) : place("✗", WRONG);
      return element(
        "li",
        line,
        {},
        marks,
        element("span", "font-weight:600", {}, name),
        ...truth === undefined ? [this.#away(i)] : [],
      );
    });
    const isFull = this.#labels.length === most;
    const number = place(isFull ? "" : String(this.#labels.length + 1));
    const hint = this.#labels.length === 0 ? "your first label" : isFull ? "" : "another label, or";
    const slot = element("li", line, {}, number, ...hint ? [element("span", SOFT, {}, hint)] : []);
    if (this.#labels.length) {
      const on = button("Next image (Enter)", { tabindex: "-1", class: "convlens-trial-next" });
      on.addEventListener("click", () => void this.#answer());
      slot.append(on);
    }
    this.#chips.replaceChildren(...chips, ...truth === undefined ? [slot] : []);
  }

  /** The button that takes a label back. */
  #away(index: number): HTMLElement {
    const made = button("×", { "aria-label": `take ${this.#labels[index]} back`, tabindex: "-1" });
    made.addEventListener("click", () => {
      this.#setLabels(this.#labels.filter((_, at) => at !== index));
      this.#chooser!.field.focus({ preventScroll: true });
    });
    return made;
  }

  #setLabels(labels: string[]): void {
    this.#labels = labels;
    kept.set(this.#draftKey, JSON.stringify({ image: this.#image!.code, labels }));
    this.#drawChips();
  }

  get #draftKey(): string {
    return `convlens-trial-draft/${this.#data.id}/${this.#person}`;
  }

  /** The labels of this image that were named before the page or the kernel went. */
  #draft(): string[] {
    try {
      const { image, labels } = JSON.parse(kept.get(this.#draftKey) ?? "{}");
      return image === this.#image!.code ? labels : [];
    } catch {
      return [];
    }
  }

  #name(name: string): void {
    const { most } = this.#data;
    this.#say("");
    if (this.#labels.includes(name)) this.#say(`${name} is named already.`, WRONG);
    else if (this.#labels.length === most) {
      this.#say(
        `${most === 1 ? "One label is" : `${most} labels are`} the most. Backspace takes the last one back.`,
        WRONG,
      );
    } else this.#setLabels([...this.#labels, name]);
    this.#chooser!.clear();
  }

  #key(event: KeyboardEvent): void {
    // None of them is the notebook's.
    event.stopPropagation();
    if (event.isComposing) return;
    const chooser = this.#watch ? this.#chooser : undefined;
    const done = () => event.preventDefault();
    if (event.key === "Enter") {
      if ((event.target as HTMLElement).tagName === "BUTTON") return;
      done();
      if (!chooser || event.ctrlKey || event.metaKey) return this.#enter();
      if (chooser.lit) return chooser.take();
      if (chooser.typed) return this.#say(`No class holds “${chooser.typed}”: Escape empties the field.`, WRONG);
      return this.#enter();
    }
    if (!chooser) return;
    if (event.altKey && /^Arrow(Up|Down)$/.test(event.key)) {
      done();
      return this.#move(event.key === "ArrowUp" ? -1 : 1);
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey && event.key.startsWith("Arrow")) return;
    if (event.key === "Escape") {
      done();
      chooser.clear();
    } else if (event.key === "Backspace" && !chooser.field.value && this.#labels.length) {
      done();
      this.#setLabels(this.#labels.slice(0, -1));
    } else if (chooser.press(event.key)) done();
    else if (event.key.length === 1 && event.target !== chooser.field) chooser.field.focus({ preventScroll: true });
  }

  /** Moves the label that was moved or named last. */
  #move(by: number): void {
    const from = Math.min(this.#moved ?? Infinity, this.#labels.length - 1);
    const to = from + by;
    if (from < 0 || to < 0 || to >= this.#labels.length) return;
    const labels = [...this.#labels];
    [labels[from], labels[to]] = [labels[to], labels[from]];
    this.#setLabels(labels);
    this.#moved = to;
  }
  #moved: number | undefined;

  async #answer(): Promise<void> {
    if (this.#busy) return;
    if (this.#labels.length === 0) return this.#say("Name at least one class: a guess counts.", WRONG);
    this.#busy = true;
    const image = this.#image!;
    // Where it has to be sent again, the time is that of the first try.
    this.#seconds ??= this.#watch!.stop();
    const answer: TrialAnswer = {
      trial: this.#data.id,
      person: this.#person,
      image: image.code,
      phase: image.truth === undefined ? "test" : "training",
      shown: this.#shown,
      seconds: Math.round(this.#seconds * 1000) / 1000,
      labels: this.#labels,
      ...image.truth !== undefined && { truth: image.truth },
    };
    this.#say("");
    try {
      this.#state = await this.#answers.add(answer);
      this.#moved = this.#seconds = undefined;
      kept.set(this.#draftKey, null);
      if (image.truth !== undefined) this.#feedback(image.truth);
      else await this.#next();
    } catch (error) {
      await this.#notTaken(error as Error);
    }
    this.#busy = false;
  }
  #seconds: number | undefined;

  async #notTaken(error: Error): Promise<void> {
    if (error instanceof Refused && error.state) {
      this.#moved = this.#seconds = undefined;
      this.#state = error.state;
      await this.#next();
      return this.#say("The image before was answered in another tab; this answer was not taken.", WRONG);
    }
    if (error instanceof Refused) return this.#say(`${error.message} Press Enter to try again.`, WRONG);
    this.#say(GONE, WRONG);
    if (!this.#data.images.some(({ code, picture }) => picture && code === this.#image?.code)) return;
    const on = button("Go on without the kernel", { class: "convlens-trial-alone" });
    on.addEventListener("click", () => {
      this.#useOwn(new PageAnswers(this.#data, this.#person, this.#state.answered));
      this.#chooser?.field.focus({ preventScroll: true });
      void this.#answer();
    });
    this.#status.append(" ", on);
  }

  /** After an answer for training: what it is. */
  #feedback(truth: string): void {
    const isRight = this.#labels.includes(truth);
    this.#watch = undefined;
    const chooser = this.#chooser!;
    chooser.clear();
    chooser.field.readOnly = true;
    chooser.field.placeholder = "Enter for the next image";
    chooser.show(truth);
    this.#drawChips(truth);
    this.#enter = () => void this.#onward();
    const on = button("Next image", { tabindex: "-1" });
    on.addEventListener("click", () => this.#enter());
    this.#say("");
    this.#status.append(
      element("span", `font-weight:600;color:${isRight ? RIGHT : WRONG}`, {}, isRight ? "Right: " : "It is "),
      element("span", "font-weight:600;margin:0 10px 0 0", { class: "convlens-trial-truth" }, truth),
      on,
    );
  }

  async #onward(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    this.#say("");
    try {
      await this.#next();
    } catch {
      this.#say(GONE, WRONG);
    }
    this.#busy = false;
  }

  /** A button that hands the answers of the page out as a file. */
  #download(words: string): HTMLButtonElement {
    const made = button(words, { class: "convlens-trial-download" });
    made.addEventListener("click", () => {
      const name = `answers-${this.#person.replace(/[^\p{L}\p{N}]+/gu, "-")}-${this.#data.id}.jsonl`;
      const url = URL.createObjectURL(new Blob([this.#own!.lines], { type: "application/x-ndjson" }));
      element("a", "", { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
      this.#say(`Downloaded as ${name}: send it to whoever gave you this page. trial.add("${name}") reads it.`);
      this.#chooser?.field.focus({ preventScroll: true });
    });
    return made;
  }

  #end(): void {
    this.#chooser = undefined;
    const own = this.#own;
    const left = this.#data.images.length - this.#state.answered.length;
    const heading = left > 0 ? "Done, as far as this page goes" : "Done. Thank you!";
    const download = own && this.#download("Download the answers");
    this.#enter = () => download?.click();
    this.#draw(
      element("div", "font-weight:600;font-size:115%;margin:0 0 6px 0", {}, heading),
      element(
        "div",
        "margin:0 0 8px 0",
        {},
        `${this.#person} has answered for ${this.#state.answered.length} of ${this.#data.images.length} images. ` +
          `${left > 0 ? `The other ${left} are only at the kernel. ` : ""}The answers are in ${this.#answers.where}.`,
      ),
      ...download ? [download] : [],
    );
    download?.focus({ preventScroll: true });
  }
}

/** Starts the cells for labelling. */
export function startTrials(): void {
  oncePerPage("convlensTrials", () => () =>
    enliven(".convlens-trial", (root) => {
      const data = takeJson<TrialData>(root);
      if (!data) return;
      const trial = new Trial(root, data);
      trial.start();
      // Unless somebody is typing elsewhere.
      if (/^(BODY|DIV|MAIN|SECTION)$/.test(document.activeElement?.tagName ?? "BODY")) {
        root.querySelector<HTMLElement>(data.person === undefined ? "input" : "button")?.focus({ preventScroll: true });
      }
    }));
}
