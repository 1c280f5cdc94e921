/** An operator of a format string: `%REQ(X?Y):10%` has the name REQ, the argument `X?Y` and the length 10. */
export interface FormatOperator {
  readonly name: string;
  readonly argument: string | undefined;
  readonly maxLength: number | undefined;
}

/** A format string of Envoy's, taken apart: text, and what is to be put in. */
export interface Format {
  readonly source: string;
  readonly parts: readonly (string | FormatOperator)[];
}

/** Says an operator's value for a stream; undefined for none. The stream's owner has one. */
export type FormatValues = (operator: FormatOperator) => string | number | undefined;
