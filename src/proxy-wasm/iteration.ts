import { Action, BodyAction, HeadersAction } from "./abi.ts";
import { Body } from "./body.ts";
import { HeaderMap } from "./header-map.ts";
import type { HttpFilter } from "./http-filter.ts";
import type { Direction } from "./stream-host.ts";

/** Where a direction's headers, body and trailers go after the last filter, and who looks after the stream. */
export interface IterationOwner {
  /** Begins and ends a callback of a filter. After the end it does what had to wait. */
  enter(): void;
  leave(): void;
  sendHeaders(direction: Direction, headers: HeaderMap, endOfStream: boolean): void;
  sendData(direction: Direction, body: Body, endOfStream: boolean): void;
  sendTrailers(direction: Direction, trailers: HeaderMap): void;
  /** A filter holds more than it may. */
  onOverflow(direction: Direction): void;
  setPaused(direction: Direction, paused: boolean): void;
}

/** How a filter has stopped: not, with its further callbacks running, or wholly. */
type Stop = "no" | "one" | "all";

/** A filter's place in one direction of a stream. */
interface Gate {
  readonly filter: HttpFilter;
  stop: Stop;
  /** The headers have gone on to the next filter. */
  headersPassed: boolean;
  /** The end of the stream has come here, unless trailers follow. */
  ended: boolean;
  held: Body | undefined;
  /** The next callback gets what is held and the new part together. */
  cumulative: boolean;
  /** Holding too much pauses the source, and is no error. */
  watermark: boolean;
  paused: boolean;
  trailersHeld: boolean;
  running: boolean;
  resumeWanted: boolean;
  /** Parts of a body that the filter sends on from within a callback. */
  injected: { readonly bytes: Uint8Array; readonly end: boolean }[];
}

/** One direction of a stream on its way through the filters, with Envoy's rules for stopping, holding and going on. */
export class Iteration {
  headers: HeaderMap | undefined;
  trailers: HeaderMap | undefined;
  limitBytes: number;
  readonly direction: Direction;
  private readonly gates: readonly Gate[];
  private readonly owner: IterationOwner;
  private aborted = false;
  private pausedGates = 0;

  /** The filters in the order in which this direction meets them. */
  constructor(
    direction: Direction,
    filters: readonly HttpFilter[],
    owner: IterationOwner,
    limitBytes: number,
  ) {
    this.direction = direction;
    this.owner = owner;
    this.limitBytes = limitBytes;
    this.gates = filters.map(createGate);
  }

  /** Nothing moves any more. */
  abort(): void {
    this.aborted = true;
    for (const gate of this.gates) gate.held = undefined;
  }

  start(headers: HeaderMap, end: boolean): void {
    if (this.headers || this.aborted) return;
    this.headers = headers;
    this.headersFrom(0, end);
  }

  data(bytes: Uint8Array, end: boolean): void {
    if (this.headers && !this.aborted) this.dataFrom(0, new Body(bytes), end);
  }

  end(trailers: HeaderMap): void {
    if (!this.headers || this.aborted) return;
    this.trailers = trailers;
    this.trailersFrom(0);
  }

  /** Trailers for a direction that has none yet: they follow the last of the body. */
  addTrailers(): HeaderMap {
    this.trailers ??= new HeaderMap();
    return this.trailers;
  }

  isStopped(filter: HttpFilter): boolean {
    const gate = this.gates.find((each) => each.filter === filter);
    return gate !== undefined && gate.stop !== "no" && !this.aborted;
  }

  /** Goes on where this filter has stopped; within its own callback, once it has stopped. */
  resume(filter: HttpFilter): void {
    const at = this.gates.findIndex((gate) => gate.filter === filter);
    const gate = this.gates[at];
    if (!gate) return;
    if (gate.running) gate.resumeWanted = true;
    else if (gate.stop !== "no") this.release(at, gate);
  }

  /** Sends a part of a body on from behind a filter, its headers first. */
  inject(filter: HttpFilter, bytes: Uint8Array, end: boolean): void {
    const at = this.gates.findIndex((gate) => gate.filter === filter);
    const gate = this.gates[at];
    if (!gate || this.aborted || !this.headers) return;
    gate.injected.push({ bytes, end });
    if (!gate.running) this.sendInjected(at, gate);
  }

  private sendInjected(at: number, gate: Gate): void {
    const parts = gate.injected;
    gate.injected = [];
    for (const { bytes, end } of parts) {
      this.passHeaders(at, gate, false);
      if (!this.aborted) this.dataFrom(at + 1, new Body(bytes), end);
    }
  }

  private headersFrom(first: number, end: boolean): void {
    const headers = this.headers!;
    for (let at = first; at < this.gates.length && !this.aborted; at++) {
      const gate = this.gates[at]!;
      gate.ended = end;
      this.enter(gate);
      const action = gate.filter.onHeaders(this.direction, headers, end);
      if (this.leave(gate)) return;
      if (action !== HeadersAction.Continue && action !== HeadersAction.ContinueAndEndStream) {
        gate.stop = action === HeadersAction.StopIteration ? "one" : "all";
        gate.watermark = action === HeadersAction.StopAllIterationAndWatermark;
        this.sendInjected(at, gate);
        this.releaseIfWanted(at, gate);
        return;
      }
      if (gate.injected.length > 0) {
        this.sendInjected(at, gate);
        if (end && !this.aborted) this.dataFrom(at + 1, new Body(), true);
        return;
      }
      gate.headersPassed = true;
      gate.resumeWanted = false;
    }
    if (!this.aborted) this.owner.sendHeaders(this.direction, headers, end);
  }

  private dataFrom(first: number, from: Body, toEnd: boolean): void {
    let [body, end] = [from, toEnd];
    let trailersAfter: number | undefined;
    for (let at = first; at < this.gates.length && !this.aborted; at++) {
      const gate = this.gates[at]!;
      gate.ended = toEnd;
      if (gate.stop === "all") {
        gate.trailersHeld ||= trailersAfter !== undefined;
        this.hold(gate, body);
        return;
      }
      if (gate.cumulative) body = moveTo(gate, body);
      const action = this.askAboutData(gate, body, end);
      if (action === undefined) return;
      if (end && this.trailers) [end, trailersAfter] = [false, at];
      if (action !== BodyAction.Continue) {
        this.stopData(at, gate, body, action, trailersAfter);
        return;
      }
      if (gate.stop === "one") body = this.openForData(at, gate, body);
      gate.resumeWanted = false;
    }
    if (this.aborted) return;
    this.owner.sendData(this.direction, body, end);
    if (trailersAfter !== undefined) this.trailersFrom(trailersAfter + 1);
  }

  /** What the filter says; undefined if nothing is to go on. */
  private askAboutData(gate: Gate, body: Body, end: boolean): BodyAction | undefined {
    this.enter(gate);
    const action = gate.filter.onData(this.direction, body, end);
    if (this.leave(gate)) return undefined;
    this.sendInjected(this.gates.indexOf(gate), gate);
    return this.aborted ? undefined : action;
  }

  /** A filter that had stopped lets a body pass: with it, all that was held. */
  private openForData(at: number, gate: Gate, body: Body): Body {
    const all = gate.held === undefined || gate.held === body ? body : moveTo(gate, body);
    this.open(gate);
    this.passHeaders(at, gate, false);
    return all;
  }

  private stopData(at: number, gate: Gate, body: Body, action: BodyAction, trailersAfter?: number): void {
    gate.stop = "one";
    gate.watermark = action === BodyAction.StopIterationAndWatermark;
    gate.cumulative = action === BodyAction.StopIterationAndBuffer;
    if (action === BodyAction.StopIterationNoBuffer) drop(gate, body);
    else this.hold(gate, body);
    if (trailersAfter === at) gate.trailersHeld = true;
    if (gate.resumeWanted) this.releaseIfWanted(at, gate);
    else if (trailersAfter !== undefined && trailersAfter < at) this.trailersFrom(at);
  }

  private trailersFrom(first: number): void {
    const trailers = this.trailers!;
    for (let at = first; at < this.gates.length && !this.aborted; at++) {
      const gate = this.gates[at]!;
      if (gate.stop === "all") {
        gate.trailersHeld = true;
        return;
      }
      this.enter(gate);
      const action = gate.filter.onTrailers(this.direction, trailers);
      if (this.leave(gate)) return;
      if (action !== Action.Continue) {
        gate.stop = "one";
        gate.trailersHeld = true;
        this.releaseIfWanted(at, gate);
        return;
      }
      gate.resumeWanted = false;
      if (gate.stop === "one") this.openForTrailers(at, gate);
    }
    if (!this.aborted) this.owner.sendTrailers(this.direction, trailers);
  }

  /** A filter that had stopped lets trailers pass: before them, all that was held. */
  private openForTrailers(at: number, gate: Gate): void {
    const { held } = gate;
    this.open(gate);
    this.passHeaders(at, gate, false);
    if (held && held.length > 0) this.dataFrom(at + 1, held, false);
  }

  private releaseIfWanted(at: number, gate: Gate): void {
    if (gate.resumeWanted) this.release(at, gate);
  }

  /** Sends on what a filter has held. One that had stopped wholly sees body and trailers first. */
  private release(at: number, gate: Gate): void {
    if (this.aborted) return;
    gate.resumeWanted = false;
    const { held, trailersHeld, ended } = gate;
    const next = gate.stop === "all" ? at : at + 1;
    this.open(gate);
    gate.trailersHeld = false;
    this.passHeaders(at, gate, ended && !held && !trailersHeld);
    if (held && !this.aborted) this.dataFrom(next, held, ended && !trailersHeld);
    if (trailersHeld && !this.aborted) this.trailersFrom(next);
  }

  private passHeaders(at: number, gate: Gate, end: boolean): void {
    if (gate.headersPassed) return;
    gate.headersPassed = true;
    this.headersFrom(at + 1, end);
  }

  private open(gate: Gate): void {
    gate.stop = "no";
    gate.held = undefined;
    gate.cumulative = false;
    if (gate.paused) this.setPaused(gate, false);
  }

  private hold(gate: Gate, body: Body): void {
    // The same object, if it can be: the guest that holds it may still read and change it.
    if (gate.held === undefined) gate.held = body;
    else if (gate.held !== body) gate.held.moveFrom(body);
    if (gate.held.length <= this.limitBytes || gate.resumeWanted) return;
    if (!gate.watermark) this.owner.onOverflow(this.direction);
    else if (!gate.paused) this.setPaused(gate, true);
  }

  private setPaused(gate: Gate, paused: boolean): void {
    gate.paused = paused;
    this.pausedGates += paused ? 1 : -1;
    if (this.pausedGates === (paused ? 1 : 0)) this.owner.setPaused(this.direction, paused);
  }

  private enter(gate: Gate): void {
    gate.running = true;
    this.owner.enter();
  }

  /** Says whether the direction was aborted. */
  private leave(gate: Gate): boolean {
    gate.running = false;
    this.owner.leave();
    return this.aborted;
  }
}

function createGate(filter: HttpFilter): Gate {
  return {
    filter,
    stop: "no",
    headersPassed: false,
    ended: false,
    held: undefined,
    cumulative: false,
    watermark: false,
    paused: false,
    trailersHeld: false,
    running: false,
    resumeWanted: false,
    injected: [],
  };
}

/** Adds to what is held, and gives all of it. */
function moveTo(gate: Gate, body: Body): Body {
  gate.held ??= new Body();
  gate.held.moveFrom(body);
  return gate.held;
}

/** The end of a stream is remembered, though its last bytes are not. */
function drop(gate: Gate, body: Body): void {
  body.clear();
  if (gate.ended) gate.held ??= new Body();
}
