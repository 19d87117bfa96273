/** Headers of every answer: no page elsewhere may read, frame or guess it. */
export const API_HEADERS = {
  "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cross-origin-resource-policy": "same-origin",
  "x-frame-options": "DENY",
};
/** Headers of answers that have none of their own. */
export const API_DEFAULTS = { "content-security-policy": "default-src 'none'; frame-ancestors 'none'", "cache-control": "no-store" };
