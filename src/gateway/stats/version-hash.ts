const mask = (1n << 64n) - 1n;
const [prime1, prime2, prime3, prime4, prime5] = [
  0x9e3779b185ebca87n,
  0xc2b2ae3d27d4eb4fn,
  0x165667b19e3779f9n,
  0x85ebca77c2b2ae63n,
  0x27d4eb2f165667c5n,
];

/**
 * xxHash64 of a text, with the seed 0: what Envoy's gauges named `version` hold of a version's text.
 * https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 */
export function versionHash(text: string): bigint {
  const bytes = Buffer.from(text);
  let at = 0;
  let hash = prime5;
  if (bytes.length >= 32) {
    const lanes = [prime1 + prime2, prime2, 0n, -prime1].map((lane) => lane & mask);
    for (; at + 32 <= bytes.length; at += 32)
      for (const [i, lane] of lanes.entries()) lanes[i] = round(lane, bytes.readBigUInt64LE(at + 8 * i));
    hash = lanes.reduce((sum, lane, i) => sum + rotate(lane, [1n, 7n, 12n, 18n][i]!), 0n) & mask;
    for (const lane of lanes) hash = ((hash ^ round(0n, lane)) * prime1 + prime4) & mask;
  }
  hash = (hash + BigInt(bytes.length)) & mask;
  for (; at + 8 <= bytes.length; at += 8)
    hash = (rotate(hash ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * prime1 + prime4) & mask;
  if (at + 4 <= bytes.length) {
    hash = (rotate(hash ^ ((BigInt(bytes.readUInt32LE(at)) * prime1) & mask), 23n) * prime2 + prime3) & mask;
    at += 4;
  }
  for (; at < bytes.length; at++)
    hash = (rotate(hash ^ ((BigInt(bytes[at]!) * prime5) & mask), 11n) * prime1) & mask;
  return avalanche(hash);
}

function round(lane: bigint, value: bigint): bigint {
  return (rotate((lane + value * prime2) & mask, 31n) * prime1) & mask;
}

function rotate(value: bigint, bits: bigint): bigint {
  return ((value << bits) | (value >> (64n - bits))) & mask;
}

function avalanche(hash: bigint): bigint {
  let mixed = ((hash ^ (hash >> 33n)) * prime2) & mask;
  mixed = ((mixed ^ (mixed >> 29n)) * prime3) & mask;
  return mixed ^ (mixed >> 32n);
}
