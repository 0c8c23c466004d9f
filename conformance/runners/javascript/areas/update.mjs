// Areas U and C: the update and its clipping.

import { map, meanSquare } from "../numbers.mjs";

export default {
  "PPSF-U-001": ({ d, d0, bound_at_start, bound_later }) => ({ b: d > d0 ? bound_later : bound_at_start }),
  "PPSF-U-002": ({ g, denom, eps }) => ({ u: map((x, v) => x / (v + eps), g, denom) }),
  "PPSF-U-003": ({ g, denom, b }) => ({ u: map((x, v) => b * Math.atan2(x, b * v), g, denom) }),
  "PPSF-U-010": ({ m, g, beta1, d }) => ({
    m: m === null ? map((x) => d * x, g) : map((old, x) => beta1 * old + (1 - beta1) * d * x, m, g),
  }),
  "PPSF-U-011": ({ g, d }) => ({ n: map((x) => d * x, g) }),
  "PPSF-U-012": ({ n, denom, d, eps }) => ({ u: map((x, v) => x / (v + d * eps), n, denom) }),
  "PPSF-U-013": ({ n, denom, a }) => ({ u: map((x, v) => a * Math.atan2(x, v), n, denom) }),
  "PPSF-C-001": ({ u, b }) => {
    const over = u.data.length ? Math.max(1, Math.sqrt(meanSquare(u)) / b) : 1;
    return { u: map((x) => x / over, u) };
  },
  "PPSF-C-010": ({ u }) => {
    const over = u.data.length ? Math.max(1, Math.sqrt(meanSquare(u))) : 1;
    return { u: map((x) => x / Math.sqrt(over), u) };
  },
};
