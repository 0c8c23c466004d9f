// Area V: the second moment.

import { broadcast, map, meanAlong } from "../numbers.mjs";

/** Axes by size, those of equal size by index: the largest comes last. */
const bySize = (shape) => shape.map((_, axis) => axis).sort((a, b) => shape[a] - shape[b] || a - b);

const none = { dr: null, dc: null };

/** Both factors: decay times the old one plus gain times the mean of the squares along its axis. */
function factors({ v_row, v_col, g, dr, dc }, decay, gain) {
  const squares = map((x) => x * x, g);
  const moved = (old, axis) => map((v, m) => decay * v + gain * m, old, meanAlong(squares, axis));
  return { v_row: moved(v_row, dr), v_col: moved(v_col, dc) };
}

export default {
  "PPSF-V-001": ({ v, g, beta2, d, d_prev }) => {
    const decay = beta2 * (d_prev / d) * (d_prev / d);
    return { v: map((old, x) => decay * old + (1 - beta2) * (x * x), v, g) };
  },
  "PPSF-V-002": ({ shape, factored, min_dim }) => {
    if (!factored || shape.length < 2 || shape.includes(0) || Math.max(...shape) < min_dim) return none;
    const [dc, dr] = bySize(shape).slice(-2);
    return { dr, dc };
  },
  "PPSF-V-003": (i) => factors(i, i.beta2 * (i.d_prev / i.d) * (i.d_prev / i.d), 1 - i.beta2),
  "PPSF-V-004": ({ v }) => ({ denom: map(Math.sqrt, v) }),
  "PPSF-V-005": ({ v_row, v_col, dr, dc }) => {
    const shape = v_row.shape.map((length, axis) => Math.max(length, v_col.shape[axis]));
    const means = broadcast(meanAlong(v_row, dc), shape);
    const root = (row, col, m) => (m === 0 ? 0 : Math.sqrt(row / m) * Math.sqrt(col));
    return { denom: map(root, broadcast(v_row, shape), broadcast(v_col, shape), means) };
  },
  "PPSF-V-010": ({ v, g, beta2, d }) => ({ v: map((old, x) => beta2 * old + d * d * (1 - beta2) * (x * x), v, g) }),
  "PPSF-V-011": (i) => factors(i, i.beta2, i.d * i.d * (1 - i.beta2)),
  "PPSF-V-012": ({ shape, factored }) => {
    if (!factored || shape.length < 2 || shape.includes(0)) return none;
    return { dr: shape.length - 1, dc: shape.length - 2 };
  },
  "PPSF-V-013": ({ v, beta2, k }) => ({ v_hat: map((x) => x / (1 - beta2 ** k), v) }),
};
