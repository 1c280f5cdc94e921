/** Collects what is wrong with a configuration, so that its author sees everything at once. */
export class ConfigErrors {
  private messages: string[] = [];
  private notes: string[] = [];

  /** `isStrict`: the configuration asks for the reference's reading, with what that takes in silence. */
  constructor(readonly isStrict: bool = false) {}

  /** Adds what is wrong, what was found and what was expected. */
  add(message: string): void {
    this.messages.push(message);
  }

  /** Adds what the reference takes in silence, though it cannot be what the author meant. */
  addUnlessStrict(message: string): void {
    if (!this.isStrict) this.messages.push(message);
  }

  /** Adds what works, and is hardly what the author meant. It does not keep the plugin from starting. */
  warn(message: string): void {
    this.notes.push(message);
  }

  /** Adds the errors and warnings of a part, each with the part's name before it. */
  addAll(part: string, errors: ConfigErrors): void {
    for (let i = 0; i < errors.messages.length; i++) this.add(part + ": " + errors.messages[i]);
    this.addWarnings(part, errors);
  }

  /** Adds the warnings of a part, and leaves its errors. */
  addWarnings(part: string, errors: ConfigErrors): void {
    for (let i = 0; i < errors.notes.length; i++) {
      this.warn(part == "" ? errors.notes[i] : part + ": " + errors.notes[i]);
    }
  }

  get isEmpty(): bool {
    return this.messages.length == 0;
  }

  list(): string[] {
    return this.messages;
  }

  warnings(): string[] {
    return this.notes;
  }

  /** All messages in one line. */
  text(): string {
    return this.messages.join("; ");
  }
}
