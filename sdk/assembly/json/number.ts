/** A finite number in decimal notation without exponent and without a trailing ".0". */
export function formatNumber(value: f64): string {
  if (!isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  if (value == 0) return 1 / value < 0 ? "-0" : "0";
  const text = abs(value).toString();
  const sign = value < 0 ? "-" : "";
  const exponentAt = text.indexOf("e");
  const mantissa = exponentAt < 0 ? text : text.substring(0, exponentAt);
  const exponent = exponentAt < 0 ? 0 : I32.parseInt(text.substring(exponentAt + 1));
  const pointAt = mantissa.indexOf(".");
  const whole = pointAt < 0 ? mantissa : mantissa.substring(0, pointAt);
  const fraction = pointAt < 0 ? "" : mantissa.substring(pointAt + 1);
  return sign + shiftPoint(whole + fraction, whole.length + exponent);
}

/** Writes `digits` with the decimal point after the first `point` of them. */
function shiftPoint(digits: string, point: i32): string {
  if (point <= 0) return trimFraction("0." + "0".repeat(-point) + digits);
  if (point >= digits.length) return digits + "0".repeat(point - digits.length);
  return trimFraction(digits.substring(0, point) + "." + digits.substring(point));
}

function trimFraction(text: string): string {
  let end = text.length;
  while (text.charCodeAt(end - 1) == 0x30) end--;
  if (text.charCodeAt(end - 1) == 0x2e) end--;
  return text.substring(0, end);
}
