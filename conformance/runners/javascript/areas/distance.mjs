// Area D: the distance estimate.

import { inner, map, sum } from "../numbers.mjs";

const signedRoot = (x) => Math.sign(x) * Math.sqrt(Math.abs(x));

export default {
  "PPSF-D-001": ({ d }) => ({ du: Math.sqrt(d) }),
  "PPSF-D-002": ({ du, g, x0, y }) => ({ A: du * inner(g, map((a, b) => a - b, x0, y)) }),
  "PPSF-D-003": ({ s, g, beta3, du }) => ({ s: map((old, x) => beta3 * old + du * x, s, g) }),
  "PPSF-D-004": ({ s }) => ({ D: sum(map(Math.abs, s)) }),
  "PPSF-D-005": ({ N, A, beta3, d, d0 }) => ({ N: beta3 * N + (d > d0 ? A : Math.max(A, 0)) }),
  "PPSF-D-006": ({ N, D, d_coef }) => ({ d_hat: D > 0 ? Math.atan2(d_coef * N, D) : 0 }),
  "PPSF-D-007": ({ d, d_hat }) => ({ d: Math.max(d, d_hat), d_prev: d }),
  "PPSF-D-008": ({ k, prodigy_steps }) => ({
    adapts: prodigy_steps === 0 || k <= prodigy_steps,
    releases: k === prodigy_steps,
  }),
  "PPSF-D-009": ({ d, N, D }) => ({ d, d_prev: d, N, D }),
  "PPSF-D-020": ({ d, d0 }) => ({ du: (d * d) / Math.sqrt(d0) }),
  "PPSF-D-021": ({ d, d0, dlr, safeguard_warmup }) => {
    const du = (d / d0) * dlr;
    return { du, du_s: safeguard_warmup ? (d / d0) * d : du };
  },
  "PPSF-D-022": ({ dlr, beta3 }) => ({ du: (1 - beta3) * dlr }),
  "PPSF-D-023": ({ a }) => ({ a: map(signedRoot, a) }),
  "PPSF-D-024": ({ N, A, beta3 }) => ({ N: beta3 * N + A }),
  "PPSF-D-025": ({ N, D, d_coef }) => ({ d_hat: D > 0 ? (d_coef * N) / D : 0 }),
  "PPSF-D-026": ({ d, d_hat }) => ({ d_hat: Math.min(d_hat, 2 ** 0.25 * d) }),
  "PPSF-D-027": ({ d_hat, d0 }) => ({ d_hat: Math.max(d_hat, d0) }),
  "PPSF-D-028": ({ d, d_hat, beta4 }) => {
    const share = Math.abs(beta4);
    const average = share * d + (1 - share) * d_hat;
    return { d: beta4 > 0 ? average : Math.max(d_hat, average), d_prev: d };
  },
  "PPSF-D-029": ({ d, d_hat, d_max, d0, growth_rate }) => {
    const largest = Math.max(d_max, d_hat);
    const from = d === d0 ? Math.max(d, d_hat) : d;
    return { d: Math.min(largest, from * growth_rate), d_max: largest };
  },
  "PPSF-D-033": ({ N, D }) => ({ adapts: Number.isFinite(N) && Number.isFinite(D) }),
  "PPSF-D-030": ({ D }) => ({ moves: D > 0 }),
  "PPSF-D-031": ({ d }) => ({ d: Math.min(d, 2 ** 40) }),
  "PPSF-D-032": ({ item, norm, items, norms }) => ({
    item: items.reduce((total, share) => total + share, item),
    norm: norms.reduce((total, share) => total + share, norm),
  }),
};
