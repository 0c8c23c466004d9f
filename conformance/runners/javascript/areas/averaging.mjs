// Areas Z and W: averaging and weight decay.

import { map } from "../numbers.mjs";

const share = (part, whole) => (whole === 0 ? 0 : part / whole);
const reach = (c, beta1) => 1 - beta1 * (1 - c);

export default {
  "PPSF-Z-001": ({ W, dlr }) => ({ c: share(dlr * dlr, W + dlr * dlr), W: W + dlr * dlr }),
  "PPSF-Z-002": ({ y, z, u, c, dlr, beta1 }) => {
    const step = dlr * reach(c, beta1);
    return { y: map((a, b, x) => (1 - c) * a + c * b - step * x, y, z, u) };
  },
  "PPSF-Z-003": ({ z, u, dlr }) => ({ z: map((a, x) => a - dlr * x, z, u) }),
  "PPSF-Z-004": ({ y, z, beta1 }) => ({ x: map((a, b) => a + (1 - 1 / beta1) * (b - a), y, z) }),
  "PPSF-Z-005": ({ x, z, beta1 }) => ({ y: map((a, b) => a + (1 - beta1) * (b - a), x, z) }),
  "PPSF-Z-006": ({ W, W_new, moved }) => ({ W: moved.includes(true) ? W_new : W }),
  "PPSF-Z-010": ({ W, lr_max, dlr, k, r, weight_lr_power }) => {
    const largest = Math.max(lr_max, dlr);
    const w = k ** r * largest ** weight_lr_power;
    return { c: share(w, W + w), W: W + w, lr_max: largest };
  },
  "PPSF-Z-011": ({ c, beta1, C }) => ({ c: Math.min(1, c * ((1 - beta1) * C)) }),
  "PPSF-Z-012": ({ y, u, dlr }) => ({ y: map((a, x) => a - dlr * x, y, u) }),

  "PPSF-W-001": ({ u, y, weight_decay }) => ({ u: map((x, a) => x + weight_decay * a, u, y) }),
  "PPSF-W-002": ({ y, weight_decay, c, beta1 }) => ({
    lost_by_z: map((a) => weight_decay * a, y),
    lost_by_y: map((a) => weight_decay * reach(c, beta1) * a, y),
  }),
  "PPSF-W-010": ({ y, weight_decay, dlr, by_lr }) => {
    const part = by_lr ? weight_decay * dlr : weight_decay;
    return { y: map((a) => a - part * a, y) };
  },
  "PPSF-W-011": ({ g, y, weight_decay }) => ({ g: map((x, a) => x + weight_decay * a, g, y) }),
};
