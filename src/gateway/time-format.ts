const names = {
  a: ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"],
  b: ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
} as const;

/** A time in milliseconds since 1970 by `strftime`'s letters in UTC; without a format as `2026-01-31T10:00:00.000Z`. */
export function formatTime(ms: number, format: string | undefined): string {
  const date = new Date(ms);
  const iso = date.toISOString();
  if (!format) return iso;
  return format.replace(/%([1-9]?)([a-zA-Z%])/g, (all, digits: string, letter: string) => {
    if (letter === "f") return fraction(ms, digits === "" ? 9 : Number(digits));
    return fields[letter]?.(date, iso) ?? all;
  });
}

const localFormat = "%Y-%m-%dT%H:%M:%S.%3f%z";

/** The same in the time zone of this machine; without a format as `2026-01-31T10:00:00.000+0000`. */
export function formatLocalTime(ms: number, format: string | undefined): string {
  const minutes = -new Date(ms).getTimezoneOffset();
  const hours = String(Math.floor(Math.abs(minutes) / 60)).padStart(2, "0");
  const zone = `${minutes < 0 ? "-" : "+"}${hours}${String(Math.abs(minutes) % 60).padStart(2, "0")}`;
  return formatTime(ms + minutes * 60_000, (format || localFormat).replaceAll(/%z/g, zone));
}

type Field = (date: Date, iso: string) => string;

const fields: Readonly<Record<string, Field>> = {
  "%": () => "%",
  Y: (_, iso) => iso.slice(0, 4),
  y: (_, iso) => iso.slice(2, 4),
  m: (_, iso) => iso.slice(5, 7),
  d: (_, iso) => iso.slice(8, 10),
  e: (date) => String(date.getUTCDate()).padStart(2, " "),
  H: (_, iso) => iso.slice(11, 13),
  M: (_, iso) => iso.slice(14, 16),
  S: (_, iso) => iso.slice(17, 19),
  F: (_, iso) => iso.slice(0, 10),
  T: (_, iso) => iso.slice(11, 19),
  a: (date) => names.a[date.getUTCDay()]!,
  b: (date) => names.b[date.getUTCMonth()]!,
  z: () => "+0000",
  Z: () => "UTC",
  s: (date) => String(Math.floor(date.getTime() / 1000)),
};

/** The digits behind the second; a clock of milliseconds has three. */
function fraction(ms: number, digits: number): string {
  return String(ms % 1000)
    .padStart(3, "0")
    .padEnd(9, "0")
    .slice(0, digits);
}
