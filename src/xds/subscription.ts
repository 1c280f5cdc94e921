import type { SnapshotResource, SnapshotType } from "./snapshot.ts";

/** What a server knows of one client's subscription to one type. The field names are those of istiod's `/debug/syncz`. */
export interface SubscriptionStatus {
  readonly typeUrl: string;
  readonly nonceSent: string;
  readonly nonceAcked: string;
  readonly versionSent: string;
  readonly versionAcked: string;
  /** The error of the last NACK, "" once a later response was accepted. */
  readonly lastError: string;
  /** Names asked for; undefined for a wildcard. */
  readonly names: ReadonlySet<string> | undefined;
  /** Resources that were sent and not yet answered. */
  readonly pending: ReadonlySet<string>;
  /** Resources whose latest version the client refused, with its reason. */
  readonly rejected: ReadonlyMap<string, Rejection>;
  /** The resources that the client was brought up to, undefined before the first answer. */
  readonly synced: SnapshotType | undefined;
}

export interface Rejection {
  readonly version: string;
  readonly error: string;
}

/** A client that leaves as many responses unanswered is sent no more until it answers. */
const maxUnanswered = 100;

/** One client's subscription to one type: what it wants, what it was sent and what it said of it. */
export class Subscription {
  readonly typeUrl: string;
  wildcard = false;
  readonly names = new Set<string>();
  synced: SnapshotType | undefined;
  nonceSent = "";
  versionSent = "";
  private nonceAcked = "";
  private versionAcked = "";
  private lastError = "";
  private readonly inFlight = new Map<string, { version: string; resources: readonly SnapshotResource[] }>();
  private readonly rejected = new Map<string, Rejection & { nonce: string }>();

  constructor(typeUrl: string) {
    this.typeUrl = typeUrl;
  }

  /** Whether the client has so many responses to answer that the next one waits. */
  get isFull(): boolean {
    return this.inFlight.size >= maxUnanswered;
  }

  wants(name: string): boolean {
    return this.wildcard || this.names.has(name);
  }

  /** Notes a response that was just sent. */
  sent(nonce: string, version: string, resources: readonly SnapshotResource[]): void {
    this.nonceSent = nonce;
    this.versionSent = version;
    this.inFlight.set(nonce, { version, resources });
    for (const { name } of resources) this.rejected.delete(name);
  }

  /** Forgets what is on its way: the response that follows holds all of it. */
  overtake(): void {
    this.inFlight.clear();
  }

  /**
   * Notes the client's answer. An error is a NACK of the resources in that response. An ACK of a nonce that was
   * refused before takes the refusal back: an agent does so when a pull succeeds after all.
   */
  answered(nonce: string, error: string | undefined): void {
    const response = this.inFlight.get(nonce);
    this.inFlight.delete(nonce);
    if (error !== undefined) {
      this.lastError = error;
      for (const { name, version } of response?.resources ?? [])
        this.rejected.set(name, { version, error, nonce });
      this.forgetOvertaken();
      return;
    }
    for (const [name, rejection] of this.rejected) if (rejection.nonce === nonce) this.rejected.delete(name);
    this.forgetOvertaken();
    if (this.rejected.size === 0) this.lastError = "";
    // Answers to several responses may come in any order. With the last of them the client has all that was sent.
    const hasAll = this.inFlight.size === 0 && this.rejected.size === 0;
    this.nonceAcked = hasAll ? this.nonceSent : nonce;
    if (hasAll) this.versionAcked = this.versionSent;
    else if (response) this.versionAcked = response.version;
  }

  /** A refusal means nothing any more once there is another version, none, or nobody who wants it. */
  private forgetOvertaken(): void {
    for (const [name, { version }] of this.rejected) {
      const latest = this.synced?.resources.get(name)?.version;
      if (version !== latest || !this.wants(name)) this.rejected.delete(name);
    }
  }

  status(): SubscriptionStatus {
    this.forgetOvertaken();
    const pending = new Set<string>();
    for (const { resources } of this.inFlight.values()) for (const { name } of resources) pending.add(name);
    return {
      typeUrl: this.typeUrl,
      nonceSent: this.nonceSent,
      nonceAcked: this.nonceAcked,
      versionSent: this.versionSent,
      versionAcked: this.versionAcked,
      lastError: this.lastError,
      names: this.wildcard ? undefined : this.names,
      pending,
      rejected: this.rejected,
      synced: this.synced,
    };
  }
}
