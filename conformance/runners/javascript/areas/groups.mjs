// Areas G and L: groups and pools, and those rules of the lifecycle that need no optimizer.

const ordinals = (count) => Array.from({ length: count }, (_, n) => n);
const ENDING = new Set(["saved", "deepcopy", "pickle", "add_group"]);

/** Places as text, so that a set can hold them. */
function steps(calls) {
  const made = [[]];
  const running = new Set();
  const begin = () => (made.push([]), running.clear());
  for (const call of calls) {
    if (running.size && (call === null || running.has(`${call}`))) begin();
    if (call !== null) running.add(`${call}`) && made.at(-1).push(call);
  }
  return made;
}

const finite = (array) => array.data.every((x) => Math.abs(x) < 2 ** 56);

export default {
  "PPSF-G-001": ({ gradient, lr }) => ({ takes_part: gradient !== null && lr !== 0 }),
  "PPSF-G-002": ({ count, split_groups }) => ({
    pools: split_groups ? ordinals(count).map((n) => [n]) : [ordinals(count)],
  }),
  "PPSF-G-003": ({ own, d, k, mean }) => {
    const active = d.filter((_, n) => k[n] > 1);
    if (!mean || !active.length) return { d_step: d[own] };
    return { d_step: active.length / active.reduce((total, x) => total + 1 / x, 0) };
  },
  "PPSF-G-004": ({ d_step, lr }) => ({ dlr: d_step * lr }),
  "PPSF-G-005": (i) => ({ d: i.pool_d, d_prev: i.pool_d_prev, N: i.pool_N, D: i.pool_D, W: i.W, k: i.pool_k }),
  "PPSF-G-006": ({ took_part }) => ({ advances: took_part.includes(true) }),
  "PPSF-G-010": ({ dlr, d }) => ({ effective_lr: dlr / d }),

  "PPSF-L-002": ({ k }) => ({ k: k + 1 }),
  "PPSF-L-003": ({ call, averages }) => ({ train_mode: !averages || call === "train" }),
  "PPSF-L-004": ({ gradients }) => ({ runs: gradients.every(finite) }),
  "PPSF-L-007": ({ d, d_prev, N, D, k, d0, split_groups }) =>
    split_groups ? { d: d0, d_prev: d0, N: 0, D: 0, W: 0, k: 1 } : { d, d_prev, N, D, W: 0, k },
  "PPSF-L-009": ({ calls }) => ({ steps: steps(calls) }),
  "PPSF-L-010": ({ gradient }) => ({ sits_out: !finite(gradient) }),
  "PPSF-L-012": ({ gradient, scale }) => ({
    gradient: { shape: gradient.shape, data: gradient.data.map((g) => (scale === null ? g : g / scale)) },
  }),
  "PPSF-L-013": ({ found_inf }) => ({ skipped: found_inf !== 0 }),
  "PPSF-L-011": ({ call, changes_mode }) => ({ ends: changes_mode || ENDING.has(call) }),
};
