import { describeReasons, type Reasons, stillOpen } from "./refusal.ts";
import { partsOf, type SnapshotResource, type SnapshotType } from "./snapshot.ts";

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
  /** Grows when `names` may have changed. */
  readonly namesRevision: number;
  /**
   * Resources that are still to be sent, or were sent and not yet answered; of filter chains also the filters that are
   * not known to be in effect.
   */
  readonly pending: ReadonlySet<string>;
  /** Resources, or filters of a chain, whose latest version the client refused, with its reason. */
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
  namesRevision = 0;
  /** Names of which the client is still to be sent what there is. */
  readonly owed = new Set<string>();
  synced: SnapshotType | undefined;
  nonceSent = "";
  versionSent = "";
  private nonceAcked = "";
  private versionAcked = "";
  private lastError = "";
  private readonly inFlight = new Map<string, { version: string; resources: readonly SnapshotResource[] }>();
  /** What the client has not taken, or not yet, of what it has answered. */
  private readonly outstanding = new Map<string, Rejection & { nonce: string }>();
  /** Of each filter chain the last one that was answered. */
  private readonly answeredChains = new Map<string, { nonce: string; resource: SnapshotResource }>();

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

  /** Names that are in responses which the client has not answered. */
  onTheirWay(): ReadonlySet<string> {
    const responses = [...this.inFlight.values()];
    return new Set(responses.flatMap(({ resources }) => resources.map(({ name }) => name)));
  }

  /** Notes a response that was just sent. */
  sent(nonce: string, version: string, resources: readonly SnapshotResource[]): void {
    this.nonceSent = nonce;
    this.versionSent = version;
    this.inFlight.set(nonce, { version, resources });
    if (this.outstanding.size === 0) return;
    for (const part of resources.flatMap(partsOf)) {
      const known = this.outstanding.get(part.name);
      // Of a chain that is sent again for another filter's sake, what was refused still is.
      if (known?.version === part.version) this.outstanding.set(part.name, { ...known, nonce });
      else this.outstanding.delete(part.name);
    }
  }

  /** Forgets what is on its way: the response that follows holds all of it. */
  overtake(): void {
    this.inFlight.clear();
  }

  /**
   * Notes the client's answer. An error is a NACK of the resources in that response, or of those that it gives reasons
   * for. A later answer to the same nonce takes the place of the first: an agent does so when a pull succeeds after all.
   */
  answered(nonce: string, error: string | undefined, reasons?: Reasons): void {
    const version = this.inFlight.get(nonce)?.version;
    this.noteParts(nonce, error, reasons);
    this.inFlight.delete(nonce);
    this.forgetOvertaken();
    if (error !== undefined) {
      this.lastError = error;
      return;
    }
    if (this.outstanding.size === 0) this.lastError = "";
    // Answers to several responses may come in any order. With the last of them the client has all that was sent.
    const hasAll = this.inFlight.size === 0 && this.outstanding.size === 0;
    this.nonceAcked = hasAll ? this.nonceSent : nonce;
    if (hasAll) this.versionAcked = this.versionSent;
    else if (version !== undefined) this.versionAcked = version;
  }

  private noteParts(nonce: string, error: string | undefined, reasons: Reasons | undefined): void {
    const reasonOf = (name: string) => (reasons ? ownReason(name, reasons) : error);
    const note = (name: string, version: string) => {
      const reason = reasonOf(name);
      if (reason === undefined) this.outstanding.delete(name);
      else this.outstanding.set(name, { version, error: reason, nonce });
    };
    for (const [name, known] of this.outstanding) if (known.nonce === nonce) note(name, known.version);
    for (const resource of this.inFlight.get(nonce)?.resources ?? this.chainsOf(nonce)) {
      if (resource.filters) this.answeredChains.set(resource.name, { nonce, resource });
      for (const { name, version } of partsOf(resource))
        if (reasonOf(name) !== undefined) note(name, version);
    }
  }

  private chainsOf(nonce: string): SnapshotResource[] {
    const chains = [...this.answeredChains.values()].filter((chain) => chain.nonce === nonce);
    return chains.map(({ resource }) => resource);
  }

  /** A refusal means nothing any more once there is another version, none, or nobody who wants it. */
  private forgetOvertaken(): void {
    for (const [name, { version }] of this.outstanding)
      if (version !== this.latestVersion(name)) this.outstanding.delete(name);
  }

  private latestVersion(name: string): string | undefined {
    const { resources } = this.synced ?? {};
    const resource = resources?.get(name);
    if (resource) return this.wants(name) ? resource.version : undefined;
    for (const chain of resources?.values() ?? []) {
      const filter = this.wants(chain.name) && chain.filters?.find((part) => part.name === name);
      if (filter) return filter.version;
    }
    return undefined;
  }

  private pending(): Set<string> {
    const pending = new Set(this.owed);
    for (const { resources } of this.inFlight.values()) {
      for (const resource of resources) {
        pending.add(resource.name);
        const inEffect = new Set(this.answeredChains.get(resource.name)?.resource.filters);
        for (const filter of resource.filters ?? []) if (!inEffect.has(filter)) pending.add(filter.name);
      }
    }
    for (const [name, { error }] of this.outstanding) if (error === stillOpen) pending.add(name);
    return pending;
  }

  status(): SubscriptionStatus {
    this.forgetOvertaken();
    return {
      typeUrl: this.typeUrl,
      nonceSent: this.nonceSent,
      nonceAcked: this.nonceAcked,
      versionSent: this.versionSent,
      versionAcked: this.versionAcked,
      lastError: this.lastError,
      names: this.wildcard ? undefined : this.names,
      namesRevision: this.namesRevision,
      pending: this.pending(),
      rejected: new Map([...this.outstanding].filter(([, { error }]) => error !== stillOpen)),
      synced: this.synced,
    };
  }
}

function ownReason(name: string, reasons: Reasons): string | undefined {
  const reason = reasons.get(name);
  return reason ? describeReasons(new Map([[name, reason]])) : reason;
}
