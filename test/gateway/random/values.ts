import { fc } from "../../peers/properties.ts";

/** Paths that requests have and routes match. */
export const paths = "/ /a /a/ /a/b /ab /A /A/b /a/b/c /a;v=1/b /a.b /b /a%2Fb /a//b /abc/d".split(" ");
/** Values of headers. */
export const values = ["", "1", "a", "A", "ab", "abc", "a,b", "12", "-5", " 7", "application/grpc", "1,2"];
/** Headers that configurations match and change. */
export const names = ["x-a", "x-b", "x-none"];

/** One of these. */
export const pick = <T>(items: readonly T[]) => fc.constantFrom(...items);
