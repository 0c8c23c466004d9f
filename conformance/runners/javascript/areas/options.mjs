// Areas N and O: the sample of a tensor, and how options are read.

export default {
  "PPSF-N-001": ({ t, stride }) => {
    const data = t.data.filter((_, n) => n % stride === 0);
    return { sample: { shape: [data.length], data } };
  },
  "PPSF-O-001": ({ beta3, beta2 }) => ({ beta3: beta3 === null ? Math.sqrt(beta2) : beta3 }),
  "PPSF-O-002": ({ use_stableadamw, eps }) => ({ clips: use_stableadamw && eps !== null }),
  "PPSF-O-003": ({ defaults, given }) => {
    const own = Object.keys(defaults).map((name) => [name, name in given ? given[name] : defaults[name]]);
    return { options: Object.fromEntries(own) };
  },
  "PPSF-O-004": ({ use_grams, use_cautious }) => ({ grams: use_grams && !use_cautious }),
  "PPSF-O-005": ({ factored, use_focus }) => ({ factored: factored && !use_focus }),
  "PPSF-O-006": ({ use_muon_pp, use_focus }) => ({ muon: use_muon_pp && !use_focus }),
  "PPSF-O-010": ({ beta4, beta2 }) => ({ beta4: beta4 === null ? beta2 : beta4 }),
  "PPSF-O-011": ({ own, use_schedulefree }) => ({ correction: use_schedulefree ? own : "adam" }),
};
