/**
 * The text with the letters A to Z in lower case. Names of headers, hosts and keywords need no others, and a module that
 * calls `toLowerCase` carries the tables of Unicode.
 */
export function lowerCase(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (isUpper(text.charCodeAt(i))) return lowerFrom(text, i);
  }
  return text;
}

function lowerFrom(text: string, first: i32): string {
  const size = text.length << 1;
  const copy = __new(size, idof<string>());
  memory.copy(copy, changetype<usize>(text), size);
  for (let i = first; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (isUpper(unit)) store<u16>(copy + (i << 1), (unit | 0x20) as u16);
  }
  return changetype<string>(copy);
}

function isUpper(unit: i32): bool {
  return unit >= 0x41 && unit <= 0x5a;
}
