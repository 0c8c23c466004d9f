// Area M, what multiplies the step size: rectification, bias correction, warm-up, cosine decay.

export default {
  "PPSF-M-003": ({ dlr, beta2, k }) => {
    const power = beta2 ** k;
    const longest = 2 / (1 - beta2) - 1;
    const rho = longest - (2 * k * power) / (1 - power);
    if (rho <= 4) return { dlr: 0 };
    return { dlr: dlr * Math.sqrt(((rho - 4) * (rho - 2) * longest) / ((longest - 4) * (longest - 2) * rho)) };
  },
  "PPSF-M-004": ({ beta2, k }) => ({ beta2: 1 - (1 - beta2) / (1 - beta2 ** k) }),
  "PPSF-M-020": ({ dlr, beta1, beta2, k }) => ({ dlr: dlr * (Math.sqrt(1 - beta2 ** k) / (1 - beta1 ** k)) }),
  "PPSF-M-021": ({ dlr, k, warmup_steps }) => ({ dlr: dlr * Math.min(1, k / warmup_steps) }),
  "PPSF-M-022": ({ stalled, K, d, d_new, k, peak_patience }) => {
    const count = d_new > d ? 0 : stalled + 1;
    return { stalled: count, K: K === null && count >= peak_patience ? k : K };
  },
  "PPSF-M-023": ({ K, k, total_training_steps }) => {
    if (K === null) return { factor: 1 };
    const length = total_training_steps === null ? 1000 : total_training_steps - K;
    const done = k - 1 - K;
    return { factor: done < length ? (1 + Math.cos((Math.PI * done) / length)) / 2 : 0 };
  },
};
