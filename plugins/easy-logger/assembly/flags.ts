// Envoy's short names of response flags, by their bit.
const NAMES = [
  "LH",
  "UH",
  "UT",
  "LR",
  "UR",
  "UF",
  "UC",
  "UO",
  "NR",
  "DI",
  "FI",
  "RL",
  "UAEX",
  "RLSE",
  "DC",
  "URX",
  "SI",
  "IH",
  "DPE",
  "UMSDR",
  "RFCF",
  "NFCF",
  "DT",
  "UPE",
  "NC",
  "OM",
  "DF",
  "DO",
  "DR",
  "UDO",
];

/** Response flags as Envoy's access log writes them: `UF,URX`; "" for none. A bit without a name is its number. */
export function describeFlags(bits: i64): string {
  const names: string[] = [];
  for (let i = 0; i < 63; i++) {
    if (((bits >> i) & 1) == 0) continue;
    names.push(i < NAMES.length ? NAMES[i] : i.toString());
  }
  return names.join(",");
}
