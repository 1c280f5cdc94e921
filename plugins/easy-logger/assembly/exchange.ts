import { CapturedBody } from "./captured-body";

/** What was noted of one stream while it ran. */
export class Exchange {
  requestBody: CapturedBody | null = null;
  responseBody: CapturedBody | null = null;
}
