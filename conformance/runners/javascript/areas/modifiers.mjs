// Area M, what changes the update or the estimate: cautious, Grams, ADOPT, OrthoGrad, FOCUS, SPEED.

import { inner, map, mean, norm, sum } from "../numbers.mjs";

/** What agrees in sign, scaled up by the share that does. */
function agreeing(a, b) {
  const kept = map((x, y) => (x * y > 0 ? 1 : 0), a, b);
  const share = kept.data.length ? Math.max(mean(kept), 1e-3) : 1;
  return map((x, k) => x * (k / share), a, kept);
}

const inDirection = (a, b) => map((x, y) => Math.abs(x) * Math.sign(y), a, b);

function orthogonal(g, y) {
  const square = inner(y, y);
  const along = square === 0 ? 0 : inner(y, g) / square;
  const part = map((x, w) => x - along * w, g, y);
  const length = norm(g);
  const share = length === 0 ? 0 : norm(part) / length;
  const least = 2 ** -8;
  const ramp = Math.min(Math.max(share / least - 1, 0), 1);
  return map((x) => x * (ramp / Math.max(share, least)), part);
}

export default {
  "PPSF-M-001": ({ U, u }) => ({ taken: agreeing(U, u) }),
  "PPSF-M-002": ({ U, u }) => ({ taken: inDirection(U, u) }),
  "PPSF-M-005": ({ is_new }) => ({ fills: is_new }),
  "PPSF-M-006": ({ v }) => ({ divided_by: v }),
  "PPSF-M-007": ({ g, y }) => ({ g: orthogonal(g, y) }),
  "PPSF-M-008": ({ v, y, beta2 }) => ({ compared: v, v: map((a, w) => a + (1 - beta2) * (w - a), v, y) }),
  "PPSF-M-009": ({ g, v, y }) => ({ u: map((x, a, w) => Math.sign(x) - 0.1 * Math.sign(a - w), g, v, y) }),
  "PPSF-M-030": ({ m, g }) => ({ n: agreeing(m, g) }),
  "PPSF-M-031": ({ m, g }) => ({ n: inDirection(m, g) }),
  "PPSF-M-032": ({ m, u, beta1, k }) => {
    const most = k ** 0.25;
    const cut = map((x) => Math.min(Math.max(x, -most), most), u);
    return { m: m === null ? cut : map((old, x) => beta1 * old + (1 - beta1) * x, m, cut) };
  },

  // SPEED of revision 1.9
  "PPSF-M-010": ({ du, d0 }) => ({ du: du * d0 }),
  "PPSF-M-011": ({ a }) => ({ sign: map(Math.sign, a) }),
  "PPSF-M-012": ({ d, d_hat }) => ({ d: Math.max(d, Math.min(d_hat, d ** 0.975)), d_prev: d }),
  "PPSF-M-013": ({ bound_later }) => ({ b: bound_later }),

  // SPEED of revision 2.0
  "PPSF-M-040": ({ pull, l1, l2, inner: product, displacement, k }) => {
    const [now1, now2] = [sum(map(Math.abs, displacement)), norm(displacement)];
    const gain = pull === null ? 1 : k ** -0.75;
    return {
      pull: pull === null ? product : (1 - gain) * pull + gain * product,
      l1: Math.max(now1, l1 ?? 1e-8),
      l2: Math.max(now2, l2 ?? 1e-8),
    };
  },
  "PPSF-M-041": ({ pull, l1, l2, du }) => ({ A: (du / ((1 + l2) * (1 + l2))) * (pull / l1) }),
  "PPSF-M-042": ({ d, N_new, N, n_max, d_coef }) => {
    if (N_new < n_max || N_new <= 0 || N <= 0) return { d };
    return { d: Math.max(d, d * Math.min(2 ** 0.25, Math.sqrt(N_new / N)) * d_coef ** 0.125) };
  },
};
