import { titleOf } from "../oci/image-layout.ts";
import type { Descriptor } from "../oci/manifest.ts";
import { formatBytes } from "./plugin-inspect.ts";

/** Shows how bytes get on, one blob after the other. */
export interface Progress {
  start(blob: Descriptor): void;
  add(bytes: number): void;
  /** Ends the blob's line, with a word on how it went. */
  end(outcome: string): void;
}

/** What is drawn on. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const barWidth = 16;
const nameWidth = 28;
const redrawMs = 50;

/** A bar for each blob on a terminal; nothing anywhere else. */
export function createProgress(stream: ProgressStream): Progress {
  if (!stream.isTTY) return { start() {}, add() {}, end() {} };
  let blob: Descriptor | undefined;
  let done = 0;
  let drawnAt = 0;
  const draw = (note = "", end = "") => {
    if (!blob) return;
    drawnAt = performance.now();
    const line = formatLine(blob, Math.min(done, blob.size), note);
    stream.write(`\r${line.slice(0, (stream.columns || 80) - 1)}\x1b[K${end}`);
  };
  return {
    start(next) {
      blob = next;
      done = 0;
      draw();
    },
    add(bytes) {
      done += bytes;
      if (performance.now() - drawnAt >= redrawMs) draw();
    },
    end(outcome) {
      if (blob) done = blob.size;
      draw(` ${outcome}`, "\n");
      blob = undefined;
    },
  };
}

function formatLine(blob: Descriptor, done: number, note: string): string {
  const part = blob.size === 0 ? 1 : done / blob.size;
  const filled = Math.round(part * barWidth);
  const bar = "#".repeat(filled).padEnd(barWidth, ".");
  const name = `${blob.digest.slice(7, 19)} ${titleOf(blob) ?? blob.mediaType.replace(/^application\/vnd\./, "")}`;
  return `${name.slice(0, nameWidth).padEnd(nameWidth)} [${bar}] ${formatBytes(done)} of ${formatBytes(blob.size)}${note}`;
}
