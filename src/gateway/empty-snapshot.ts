import type { GatewaySnapshot } from "./gateway-snapshot.ts";

/** Nothing is counted or open. Apart from the rest, for threads that load little. */
export const emptySnapshot: GatewaySnapshot = { stats: [], hosts: {}, listeners: {}, plugins: {} };
