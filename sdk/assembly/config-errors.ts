/** More than these nobody reads; of the others there is a number. */
const MAX_MESSAGES: i32 = 100;

/** Collects what is wrong with a configuration, so that its author sees everything at once. */
export class ConfigErrors {
  private messages: string[] = [];
  private notes: string[] = [];
  private moreMessages: i32 = 0;
  private moreNotes: i32 = 0;

  /** `isStrict`: the configuration asks for the reference's reading, with what that takes in silence. */
  constructor(readonly isStrict: bool = false) {}

  /** Adds what is wrong, what was found and what was expected. */
  add(message: string): void {
    if (this.messages.length < MAX_MESSAGES) this.messages.push(message);
    else this.moreMessages++;
  }

  /** Adds what the reference takes in silence, though it cannot be what the author meant. */
  addUnlessStrict(message: string): void {
    if (!this.isStrict) this.add(message);
  }

  /** Adds what works, and is hardly what the author meant. It does not keep the plugin from starting. */
  warn(message: string): void {
    if (this.notes.length < MAX_MESSAGES) this.notes.push(message);
    else this.moreNotes++;
  }

  /** Adds the errors and warnings of a part, each with the part's name before it where it has one. */
  addAll(part: string, errors: ConfigErrors): void {
    for (let i = 0; i < errors.messages.length; i++) this.add(within(part, errors.messages[i]));
    this.moreMessages += errors.moreMessages;
    this.addWarnings(part, errors);
  }

  /** Adds the warnings of a part, and leaves its errors. */
  addWarnings(part: string, errors: ConfigErrors): void {
    for (let i = 0; i < errors.notes.length; i++) this.warn(within(part, errors.notes[i]));
    this.moreNotes += errors.moreNotes;
  }

  /** The errors alone. */
  withoutWarnings(): ConfigErrors {
    const errors = new ConfigErrors(this.isStrict);
    errors.messages = this.messages;
    errors.moreMessages = this.moreMessages;
    return errors;
  }

  get isEmpty(): bool {
    return this.messages.length == 0;
  }

  /** Neither errors nor warnings. */
  get isSilent(): bool {
    return this.messages.length + this.notes.length == 0;
  }

  list(): string[] {
    return withNumber(this.messages, this.moreMessages);
  }

  warnings(): string[] {
    return withNumber(this.notes, this.moreNotes);
  }

  /** All messages in one line. */
  text(): string {
    return this.list().join("; ");
  }
}

function within(part: string, message: string): string {
  return part == "" ? message : part + ": " + message;
}

function withNumber(messages: string[], more: i32): string[] {
  return more == 0 ? messages : messages.concat([`and ${more} more of this kind`]);
}
