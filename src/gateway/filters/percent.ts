import {
  FractionalPercent_DenominatorType as Denominator,
  type FractionalPercent,
} from "../../gen/envoy/type/v3/percent_pb.ts";

const denominators: Readonly<Record<Denominator, number>> = {
  [Denominator.HUNDRED]: 100,
  [Denominator.TEN_THOUSAND]: 10_000,
  [Denominator.MILLION]: 1_000_000,
};

/** Whether a request is among the share. */
export function isDrawn(percent: FractionalPercent | undefined): boolean {
  if (!percent || percent.numerator === 0) return false;
  return Math.random() * denominators[percent.denominator] < percent.numerator;
}
