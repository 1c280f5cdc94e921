import { isWordPoint } from "./escapes";

/** Text with places for groups, as Go's ReplaceAll reads it: `$1`, `${1}`, `$name`, `${name}`, and `$$` for a dollar. */
export class RegexTemplate {
  /** Texts and, after each but the last, the group whose text follows; -1 for a group that does not exist. */
  private texts: string[] = [];
  private groups: i32[] = [];

  constructor(template: string, names: string[]) {
    let text = "";
    let at = 0;
    while (at < template.length) {
      const dollar = template.indexOf("$", at);
      if (dollar < 0) break;
      text += template.substring(at, dollar);
      const isBraced = template.startsWith("{", dollar + 1);
      const start = dollar + (isBraced ? 2 : 1);
      let end = start;
      while (end < template.length && isNameUnit(template.charCodeAt(end))) end++;
      if (end == start || (isBraced && !template.startsWith("}", end))) {
        text += "$";
        at = dollar + (template.startsWith("$", dollar + 1) ? 2 : 1);
        continue;
      }
      this.texts.push(text);
      this.groups.push(findGroup(template.substring(start, end), names));
      text = "";
      at = end + (isBraced ? 1 : 0);
    }
    this.texts.push(text + template.substring(at));
  }

  /** The text for a match of `source` with these slots. */
  expand(source: string, slots: StaticArray<i32>): string {
    let result = this.texts[0];
    for (let i = 0; i < this.groups.length; i++) {
      const group = this.groups[i];
      if (group >= 0 && slots[2 * group] >= 0)
        result += source.substring(slots[2 * group], slots[2 * group + 1]);
      result += this.texts[i + 1];
    }
    return result;
  }
}

/** Whether Go counts a code unit to a name: letters of all scripts, as far as ranges tell, so that `$1元` is no group 1. */
function isNameUnit(unit: i32): bool {
  if (unit < 0xc0) return isWordPoint(unit);
  if (unit == 0xd7 || unit == 0xf7 || (unit & 0xf800) == 0xd800) return false;
  const isSymbol = (unit >= 0x2000 && unit < 0x2c00) || (unit >= 0x3000 && unit < 0x3040);
  return !isSymbol && (unit < 0xfe00 || unit > 0xff20);
}

/** Number of a group by its number or name; -1 when there is none. */
function findGroup(name: string, names: string[]): i32 {
  let number = 0;
  for (let i = 0; i < name.length; i++) {
    const digit = name.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return names.indexOf(name);
    number = min(number * 10 + digit, names.length);
  }
  if (name.length > 1 && name.startsWith("0")) return names.indexOf(name);
  return number < names.length ? number : -1;
}
