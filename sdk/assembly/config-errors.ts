/** Collects what is wrong with a configuration, so that its author sees everything at once. */
export class ConfigErrors {
  private messages: string[] = [];

  /** Adds what is wrong, what was found and what was expected. */
  add(message: string): void {
    this.messages.push(message);
  }

  /** Adds the errors of a part, each with the part's name before it. */
  addAll(part: string, errors: ConfigErrors): void {
    for (let i = 0; i < errors.messages.length; i++) this.add(part + ": " + errors.messages[i]);
  }

  get isEmpty(): bool {
    return this.messages.length == 0;
  }

  list(): string[] {
    return this.messages;
  }

  /** All messages in one line. */
  text(): string {
    return this.messages.join("; ");
  }
}
