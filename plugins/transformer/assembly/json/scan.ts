/** Arrays and objects of a body may be nested this deep. */
const MAX_DEPTH: i32 = 1000;
/** Of each array or object around the current place, whether it is an object. */
const isObjectAt = new StaticArray<bool>(MAX_DEPTH);

/** The first address from `at` on that is not white space. */
@inline
export function skipSpace(at: usize, end: usize): usize {
  let next = at;
  while (next < end && load<u8>(next) <= 0x20) next++;
  return next;
}

/** The address behind a string that begins at `at`. */
export function skipString(at: usize, end: usize): usize {
  let next = at + 1;
  while (next < end) {
    const byte = load<u8>(next);
    if (byte == 0x22) return next + 1;
    next += byte == 0x5c ? 2 : 1;
  }
  return end;
}

/** The address behind a value of valid JSON that begins at `at`. */
export function skipValue(at: usize, end: usize): usize {
  let next = at;
  let depth = 0;
  while (next < end) {
    const byte = load<u8>(next);
    if (byte == 0x22) {
      next = skipString(next, end);
    } else if (byte == 0x7b || byte == 0x5b) {
      depth++;
      next++;
    } else if (byte == 0x7d || byte == 0x5d) {
      depth--;
      next++;
    } else if (depth > 0) {
      next++;
      continue;
    } else {
      return skipScalar(next, end);
    }
    if (depth == 0) return next;
  }
  return end;
}

/** The address behind a number or a word. */
export function skipScalar(at: usize, end: usize): usize {
  let next = at;
  while (next < end) {
    const byte = load<u8>(next);
    if (byte <= 0x20 || byte == 0x2c || byte == 0x3a || byte == 0x5d || byte == 0x7d) break;
    next++;
  }
  return next;
}

/** Whether the bytes are one JSON value, nested at most 1000 levels deep. */
export function isValidJson(start: usize, end: usize): bool {
  let depth = 0;
  let at = skipSpace(start, end);
  for (;;) {
    // A value is expected here.
    if (at >= end) return false;
    const byte = load<u8>(at);
    if (byte == 0x7b || byte == 0x5b) {
      if (depth == MAX_DEPTH) return false;
      const isObject = byte == 0x7b;
      unchecked((isObjectAt[depth++] = isObject));
      at = skipSpace(at + 1, end);
      if (at < end && load<u8>(at) == byte + 2) {
        depth--;
        at++;
      } else {
        if (isObject) at = validKey(at, end);
        if (at == 0) return false;
        continue;
      }
    } else {
      at = byte == 0x22 ? validString(at, end) : validScalar(at, end);
      if (at == 0) return false;
    }
    // A value is complete here, and perhaps those around it.
    for (;;) {
      at = skipSpace(at, end);
      if (depth == 0) return at >= end;
      if (at >= end) return false;
      const isObject = unchecked(isObjectAt[depth - 1]);
      const next = load<u8>(at++);
      if (next == 0x2c) {
        at = skipSpace(at, end);
        if (isObject) at = validKey(at, end);
        if (at == 0) return false;
        break;
      }
      if (next != (isObject ? 0x7d : 0x5d)) return false;
      depth--;
    }
  }
  return false;
}

/** The address of the value behind a member's name and its colon; 0 when they are not there. */
function validKey(at: usize, end: usize): usize {
  if (at >= end || load<u8>(at) != 0x22) return 0;
  const next = validString(at, end);
  if (next == 0) return 0;
  const colon = skipSpace(next, end);
  return colon < end && load<u8>(colon) == 0x3a ? skipSpace(colon + 1, end) : 0;
}

function validString(at: usize, end: usize): usize {
  for (let next = at + 1; next < end; next++) {
    const byte = load<u8>(next);
    if (byte == 0x22) return next + 1;
    if (byte < 0x20) return 0;
    if (byte != 0x5c) continue;
    if (++next >= end) return 0;
    const escape = load<u8>(next);
    if (escape == 0x75) {
      for (let i = 0; i < 4; i++) {
        if (++next >= end || !isHex(load<u8>(next))) return 0;
      }
    } else if (!isEscape(escape)) {
      return 0;
    }
  }
  return 0;
}

function validScalar(at: usize, end: usize): usize {
  const byte = load<u8>(at);
  if (byte == 0x74) return validWord(at, end, "true");
  if (byte == 0x66) return validWord(at, end, "false");
  if (byte == 0x6e) return validWord(at, end, "null");
  return validNumber(at, end);
}

function validWord(at: usize, end: usize, word: string): usize {
  const length = word.length;
  if (at + length > end) return 0;
  for (let i = 0; i < length; i++) {
    if (load<u8>(at + i) != word.charCodeAt(i)) return 0;
  }
  return at + length;
}

/** The address behind a number of JSON; 0 when there is none. */
export function validNumber(start: usize, end: usize): usize {
  let at = start;
  if (at < end && load<u8>(at) == 0x2d) at++;
  if (at < end && load<u8>(at) == 0x30) at++;
  else at = validDigits(at, end);
  if (at != 0 && at < end && load<u8>(at) == 0x2e) at = validDigits(at + 1, end);
  if (at == 0 || at >= end || (load<u8>(at) | 0x20) != 0x65) return at;
  at++;
  if (at < end && (load<u8>(at) == 0x2b || load<u8>(at) == 0x2d)) at++;
  return validDigits(at, end);
}

function validDigits(start: usize, end: usize): usize {
  let at = start;
  while (at < end && load<u8>(at) >= 0x30 && load<u8>(at) <= 0x39) at++;
  return at > start ? at : 0;
}

function isEscape(byte: u8): bool {
  if (byte == 0x22 || byte == 0x5c || byte == 0x2f) return true;
  return byte == 0x62 || byte == 0x66 || byte == 0x6e || byte == 0x72 || byte == 0x74;
}

function isHex(byte: u8): bool {
  const lower = byte | 0x20;
  return (byte >= 0x30 && byte <= 0x39) || (lower >= 0x61 && lower <= 0x66);
}
