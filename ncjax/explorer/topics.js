"use strict";
// The topics of the explorer.  Each has controls, and `find`, which makes of their values
// the facts, plots and formula to show, and the line of Python that gives the same.

const number = (x) =>
  !Number.isFinite(x) ? (x === Infinity ? "∞" : "undefined")
  : Number.isInteger(x) && Math.abs(x) < 1e5 ? `${x}`
  : x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5) ? x.toExponential(2).replace("-", "−")
  : `${Number(x.toPrecision(3))}`.replace("-", "−");

const logSpace = (low, high, count) => {
  const step = Math.log(high / low) / (count - 1);
  return Array.from({ length: count }, (_, i) => low * Math.exp(i * step));
};

const line = (x, y, name, color, more = {}) => ({
  x, y, name, mode: "lines", line: { color, width: 2.2, ...more.line },
  hovertemplate: "%{x:.3g}, %{y:.4g}", ...more.trace,
});

// Blue below 0, red above, after ColorBrewer.
const DIVERGING = [[0, "#2166ac"], [0.25, "#92c5de"], [0.5, "#f7f7f7"], [0.75, "#f4a582"], [1, "#b2182b"]];

// K >= 2 classes and their cosines as a matrix.
function cosineMap(K, cosine, note) {
  const rows = Array.from({ length: K }, (_, i) =>
    Array.from({ length: K }, (_, j) => cosine(i, j)));
  const shown = note ? rows.map((row) => row.map(() => null)) : rows;
  const axis = { showgrid: false, tickmode: K > 12 ? "auto" : "linear", dtick: K > 12 ? undefined : 1 };
  return {
    title: "Cosines of the class means",
    traces: [{
      type: "heatmap", z: shown, zmin: -1, zmax: 1, colorscale: DIVERGING,
      xgap: K > 40 ? 0 : 1, ygap: K > 40 ? 0 : 1,
      hovertemplate: "classes %{x} and %{y}: %{z:.4f}<extra></extra>",
      colorbar: { thickness: 10, len: 0.9, outlinewidth: 0, tickvals: [-1, -0.5, 0, 0.5, 1] },
    }],
    x: { ...axis, title: "class", constrain: "domain" },
    y: { ...axis, title: "class", autorange: "reversed", scaleanchor: "x", constrain: "domain" },
    note,
  };
}

const decay = { key: "c", label: "c, strength of weight decay", min: 1e-6, max: 1, log: true, value: 1e-3 };

const treeOptimum = (s, n, c) =>
  s.loss === "soft" ? softLabelOptimum(n, s.beta, c) : hxeOptimum(n, s.alpha, c, s.loss);

const tree = {
  id: "tree",
  title: "A class tree: soft labels and HXE",
  lead: "Losses that know a tree of classes put the class means elsewhere than at the "
    + "simplex. On a balanced tree the optimum is known: the angles of the means, and "
    + "which level of the tree merges first as weight decay grows. Level 1 tells "
    + "siblings apart, the last level the groups below the root.",
  controls: [
    { key: "loss", label: "loss", value: "soft", options: [
      ["soft", "soft labels"], ["height", "HXE, weights by height"], ["depth", "HXE, weights by depth"]] },
    { key: "beta", label: "β, sharpness of the labels", min: 0.1, max: 40, log: true, value: 4, when: (s) => s.loss === "soft" },
    { key: "alpha", label: "α, discount per level", min: 0, max: 2, step: 0.01, value: 0.5, when: (s) => s.loss !== "soft" },
    decay,
    { key: "levels", label: "levels of the tree", min: 1, max: 4, step: 1, whole: true, value: 3 },
    { key: "branching", label: "children of each node", min: 2, max: 4, step: 1, whole: true, value: 2 },
  ],
  find(s) {
    const n = treeSizes(s.branching, s.levels);
    const K = n.at(-1);
    const found = treeOptimum(s, n, s.c);
    const level = (i, j) => n.findIndex((size) => Math.floor(i / size) === Math.floor(j / size));
    const cosine = (h) => found.logits[h] / found.logits[0];
    const none = found.rank === 0;
    const strengths = logSpace(decay.min, decay.max, 200);
    const paths = strengths.map((c) => treeOptimum(s, n, c).values);
    const many = multiplicities(n);
    const name = (h) => `level ${h + 1}` + (h === 0 ? ", siblings" : "");
    let start = 1;
    const bars = found.values.map((v, h) => {
      const x = Array.from({ length: many[h] }, (_, i) => i);
      return { v, h, x };
    }).reverse().map(({ v, h, x }) => {
      const shifted = x.map((i) => start + i);
      start += x.length;
      return { type: "bar", x: shifted, y: x.map(() => v), name: name(h),
        marker: { color: COLORS[h] }, hovertemplate: `%{y:.4g}<extra>${name(h)}</extra>` };
    });
    const loss = s.loss === "soft" ? `soft_label_optimum(tree, beta=${s.beta}, c=${s.c})`
      : `hxe_optimum(tree, alpha=${s.alpha}, c=${s.c}, weighting="${s.loss}")`;
    const cosines = n.slice(1).map((_, h) => number(cosine(h + 1))).join(", ");
    return {
      facts: [
        ["classes K", `${K}`],
        ["NC2, distance from the simplex", number(found.nc2)],
        ["rank of the class means", `${found.rank} of ${K - 1}`],
        ["merged levels", none ? "all: no geometry" : found.merged.join(", ") || "none"],
        [`cosines by level 1..${s.levels}`, none ? "undefined" : cosines],
        ["least objective", number(found.objective)],
      ],
      plots: [
        cosineMap(K, (i, j) => cosine(level(i, j)), none ? "all classes have merged" : ""),
        { title: "Spectrum: singular values of the logits", traces: bars,
          x: { title: "rank", dtick: K > 12 ? undefined : 1 }, y: { rangemode: "tozero" } },
        { title: "The same, as weight decay grows", lines: [s.c], legend: true,
          traces: n.slice(1).map((_, h) => line(strengths, paths.map((v) => v[h]), name(h), COLORS[h])),
          x: { title: "c", type: "log" }, y: { rangemode: "tozero" } },
      ],
      formula: {
        soft: "The softmax of the optimum is the matrix of labels Y with its eigenvalues cut: "
          + "λ<sub>h</sub>(P) = max(λ<sub>h</sub>(Y) − K c, 0). A level merges where K c reaches its λ<sub>h</sub>(Y): siblings "
          + "first. As c → 0 the cosines are 1 − d / mean(d), whatever β; as β → ∞ the simplex returns.",
        height: "With weights exp(−α height) siblings are pushed apart further than distant "
          + "classes, and the coarsest levels merge first; all have merged at K c = 1. "
          + "α = 0 is cross-entropy: the simplex.",
        depth: "With weights exp(−α depth), as in the published code, distant classes are the "
          + "furthest apart and siblings merge first. The problem is not convex: this is a "
          + "critical point, and no search has found a better one.",
      }[s.loss],
      code: `from ncjax.hierarchy import balanced\nfrom ncjax.hierarchy.${s.loss === "soft" ? "soft_labels import soft_label_optimum" : "hxe import hxe_optimum"}\n`
        + `tree = balanced(${s.branching}, ${s.levels})\n${loss}`,
    };
  },
};

const degrees = (cosine) => (Math.acos(cosine) * 180) / Math.PI;

function crossEntropy({ K, c, smoothing }) {
  const { s, objective } = crossEntropyOptimum(K, c, smoothing);
  const strengths = logSpace(decay.min, decay.max, 300);
  const sizes = strengths.map((x) => crossEntropyOptimum(K, x, smoothing).s);
  const wrong = strengths.map((x) => 1 / (Math.exp(crossEntropyOptimum(K, x, smoothing).s) + K - 1));
  return {
    facts: [
      ["regime", s > 0 ? "simplex" : "merged: all logits are 0"],
      ["size s of the logits", number(s)],
      ["probability of the right class", number(Math.exp(s) / (Math.exp(s) + K - 1))],
      ["cosine of two class means", s > 0 ? number(-1 / (K - 1)) : "undefined"],
      ["merges from c =", number((1 - smoothing) / K)],
      ["least objective", number(objective)],
    ],
    plots: [
      cosineMap(K, (i, j) => (i === j ? 1 : -1 / (K - 1)), s > 0 ? "" : "all classes have merged"),
      { title: "Size s of the logits, as weight decay grows", lines: [c],
        traces: [line(strengths, sizes, "s", COLORS[0])], x: { title: "c", type: "log" }, y: { rangemode: "tozero" } },
      { title: "Probabilities, as weight decay grows", lines: [c], legend: true,
        traces: [line(strengths, wrong.map((p) => 1 - (K - 1) * p), "right class", COLORS[0]),
          line(strengths, wrong, "each wrong class", COLORS[3])],
        x: { title: "c", type: "log" }, y: { range: [0, 1.02] } },
    ],
    formula: "Logits s (I − 11ᵀ/K), a simplex at any weight decay, with or without bias: "
      + "eˢ = (1 − ε + ε/K − (K − 1) c) / (ε/K + c) while K c < 1 − ε. Every wrong class has "
      + "the probability ε/K + c.",
    code: "from ncjax.ufm.theory.cross_entropy import cross_entropy_optimum\n"
      + `cross_entropy_optimum(${K}, 1, ${c}, ${c}, label_smoothing=${smoothing})`,
  };
}

function squaredError({ K, c, bias }) {
  const found = squaredErrorOptimum(K, c, bias);
  const edge = K * c < 1 ? (K * c) / (1 - K * c) : NaN;
  const decays = logSpace(1e-5, 1e3, 300);
  const each = decays.map((x) => squaredErrorOptimum(K, c, x));
  const regime = found.u === 0 ? "merged: all logits are 0" : found.v === 0 ? "simplex"
    : "between simplex and orthogonal frame";
  const x = { title: "λ of the bias", type: "log" };
  return {
    facts: [
      ["regime", regime],
      ["cosine of two class means", found.u ? number(found.cosine) : "undefined"],
      ["their angle", found.u ? `${degrees(found.cosine).toFixed(1)}°` : "undefined"],
      ["leaves the simplex above λ =", number(edge)],
      ["entries of the bias", number(found.b)],
      ["least objective", number(found.objective)],
    ],
    plots: [
      cosineMap(K, (i, j) => (i === j ? 1 : found.cosine), found.u ? "" : "all classes have merged"),
      { title: "Angle of two class means, degrees", lines: [bias],
        traces: found.u ? [line(decays, each.map((e) => degrees(e.cosine)), "angle", COLORS[0])] : [],
        x, y: { range: [88, degrees(-1 / (K - 1)) + 2] }, note: found.u ? "" : "undefined" },
      { title: "Logits u (I − 11ᵀ/K) + v 11ᵀ/K, bias b", lines: [bias], legend: true,
        traces: [line(decays, each.map((e) => e.u), "u", COLORS[0]),
          line(decays, each.map((e) => e.v), "v", COLORS[1]),
          line(decays, each.map((e) => K * e.b), "K b", COLORS[3])],
        x, y: { range: [0, 1.02] } },
    ],
    formula: "u = 1 − K c. While λ ≤ K c / (1 − K c): v = 0 and b = 1 / (K (1 + λ)), a simplex. "
      + "Above: v = 1 − K c − K c / λ and b = c / λ, on the way to an orthogonal frame, which "
      + "a model without bias has. Centred at their mean, the class means are always a simplex.",
    code: "from ncjax.ufm.theory.squared_error import squared_error_optimum\n"
      + `squared_error_optimum(${K}, 1, ${c}, ${c}, lambda_b=${bias})`,
  };
}

const flat = {
  id: "flat",
  title: "No tree: cross-entropy and MSE",
  lead: "With cross-entropy balanced classes always stand at a simplex, and weight decay "
    + "sets only its size. With MSE the weight decay of the bias decides between a simplex "
    + "and an orthogonal frame.",
  controls: [
    { key: "loss", label: "loss", value: "mse", options: [["mse", "MSE"], ["ce", "cross-entropy"]] },
    { key: "K", label: "K, number of classes", min: 2, max: 50, step: 1, whole: true, value: 4 },
    { ...decay, value: 1e-2 },
    { key: "bias", label: "λ, weight decay of the bias", min: 1e-5, max: 1e3, log: true, value: 0.1, when: (s) => s.loss === "mse" },
    { key: "smoothing", label: "ε, label smoothing", min: 0, max: 0.9, step: 0.01, value: 0, when: (s) => s.loss === "ce" },
  ],
  find: (s) => (s.loss === "ce" ? crossEntropy(s) : squaredError(s)),
};

const rowSums = {
  id: "rowsum",
  title: "Decay time and the row sum (NC0)",
  lead: "Where the gradients of the logits sum to 0 over the classes (cross-entropy, soft "
    + "labels, HXE), the data cannot move the row sum of the classifier, r = Wᵀ1. Only "
    + "weight decay can: how far it falls is known before training. NC0 is the size of r.",
  controls: [
    { key: "rate", label: "learning rate at the start", min: 1e-4, max: 1, log: true, value: 0.05 },
    { key: "schedule", label: "schedule", value: "cosine", options: [
      ["constant", "constant"], ["step", "step: ÷ 10 at 1/3 and 2/3"], ["cosine", "cosine"]] },
    { key: "decay", label: "weight decay", min: 1e-6, max: 1, log: true, value: 5e-4 },
    { key: "kind", label: "kind of decay", value: "coupled", options: [
      ["coupled", "coupled (SGD, an L2 penalty)"], ["decoupled", "decoupled (as in AdamW, Muon)"]] },
    { key: "momentum", label: "momentum", min: 0, max: 0.99, step: 0.01, value: 0.9 },
    { key: "steps", label: "steps of training", min: 100, max: 1e5, log: true, whole: true, value: 78200 },
  ],
  find(s) {
    const rates = learningRates(s.schedule, s.rate, s.steps);
    const decoupled = s.kind === "decoupled" ? 1 : 0;
    const { times, factors } = rowSum(rates, s.decay, s.momentum, decoupled, false);
    const kept = [...new Set(Array.from({ length: 401 }, (_, i) => Math.round((i * s.steps) / 400)))];
    const at = (values) => kept.map((t) => values[t]);
    const [x, factor] = [times.at(-1), factors.at(-1)];
    const reached = times.findIndex((t) => t >= Math.log(10));
    const positive = (values) => values.map((v) => (Math.abs(v) > 1e-30 ? Math.abs(v) : null));
    const axis = { title: "step" };
    return {
      facts: [
        ["decay time x", number(x)],
        ["exp(−x)", number(Math.exp(-x))],
        ["row sum left, exactly", number(factor)],
        ["a tenth is left after", reached < 0 ? "not reached" : `${reached} steps`],
      ],
      plots: [
        { title: "Row sum over that of the start", legend: true, traces: [
          line(kept, positive(at(factors)), "exact", COLORS[0], { line: { width: 5 } }),
          line(kept, positive(at(times).map((t) => Math.exp(-t))), "exp(−x)", COLORS[3], { line: { dash: "dash" } }),
        ], x: axis, y: { type: "log", dtick: undefined } },
        { title: "Decay time x so far", traces: [line(kept, at(times), "x", COLORS[1])], x: axis, y: { rangemode: "tozero" } },
        { title: "Learning rate", traces: [line(kept.slice(0, -1), kept.slice(0, -1).map((t) => rates[t]), "rate", COLORS[2])],
          x: axis, y: { rangemode: "tozero" } },
      ],
      formula: decoupled
        ? "r falls by the factor 1 − η λ at each step, whatever the momentum: x = Σ η λ, and about exp(−x) is left."
        : "v ← β v + λ r, r ← r − η v: x = Σ η λ / (1 − β), and about exp(−x) is left, as long as the steps are small.",
      code: "from ncjax.ufm.theory.row_sum import decay_time, row_sum_factors\n"
        + `rates = ... # the learning rate of each of ${s.steps} steps\n`
        + `row_sum_factors(rates, ${s.decay}, momentum=${s.momentum}, decoupled=${decoupled}.0)`,
    };
  },
};

const minority = {
  id: "minority",
  title: "Minority collapse",
  lead: "When some classes have far fewer examples, their class means become identical "
    + "before those of the others do. From which imbalance depends on what holds "
    + "the weights: a bound on their norms (the layer-peeled model) or weight decay.",
  controls: [
    { key: "majority", label: "majority classes", min: 1, max: 20, step: 1, whole: true, value: 5 },
    { key: "minority", label: "minority classes", min: 2, max: 20, step: 1, whole: true, value: 5 },
    { key: "size", label: "examples of a minority class", min: 1, max: 1e4, log: true, whole: true, value: 100 },
    { key: "ratio", label: "R, imbalance of the class sizes", min: 1, max: 1e4, log: true, value: 5 },
    { key: "energy", label: "bound on the norms, E<sub>W</sub> E<sub>H</sub>", min: 0.1, max: 25, log: true, value: 5 },
    { key: "mu", label: "weight decay, √(λ<sub>W</sub> λ<sub>H</sub>)", min: 1e-6, max: 0.1, log: true, value: 1e-3 },
  ],
  find(s) {
    const [A, B] = [s.majority, s.minority];
    const large = Math.max(s.size, Math.round(s.ratio * s.size));
    const total = A * large + B * s.size;
    const log10R0 = logPeeledThreshold(A, B, s.energy) / Math.LN10;
    const merged = Math.log10(s.ratio) >= log10R0;
    const edge = ridgeThreshold(total, s.mu);
    // The curve by its ratio: the bound on the norms at which each one is the threshold.
    const ratios = logSpace(1e-4, 40, 120).map(Math.exp);
    const energies = ratios.map((R) => (mergedNorm(A, B, Math.log(R)) / (A + B)) ** 2);
    const kept = ratios.map((_, i) => i).filter((i) => energies[i] > 0.02 && energies[i] < 60);
    const at = (values) => kept.map((i) => values[i]);
    const decays = logSpace(1e-6, 0.1, 300);
    const logits = (size) => decays.map((mu) => classLogit(total, size, mu));
    const state = (yes) => (yes ? "merged" : "apart");
    return {
      facts: [
        ["examples of a majority class", `${large}`],
        ["norms bounded: merges from R =", log10R0 < 5 ? number(10 ** log10R0) : `10^${log10R0.toFixed(1)}`],
        ["at this R the minority is", state(merged)],
        ["weight decay: merges up to", `${number(edge)} examples`],
        ["with this decay the minority is", state(s.size <= edge)],
      ],
      plots: [
        { title: "Norms bounded: which imbalance merges the minority", legend: true, traces: [
          { ...line(at(energies), at(ratios), "merged above", COLORS[3]) },
          { x: [s.energy], y: [s.ratio], mode: "markers", name: `this setting: ${state(merged)}`,
            marker: { size: 11, color: merged ? COLORS[3] : COLORS[1], symbol: merged ? "x" : "circle" },
            hovertemplate: "E %{x:.3g}, R %{y:.3g}" },
        ], x: { title: "E<sub>W</sub> E<sub>H</sub>", type: "log", dtick: 1, range: [-1, Math.log10(25)] },
        y: { title: "R", type: "log", dtick: log10R0 > 6 ? 2 : 1, range: [-0.05, Math.max(4, Math.min(log10R0 + 0.5, 16))] } },
        { title: "Weight decay: logits of both groups (MSE)", lines: [s.mu], legend: true, traces: [
          line(decays, logits(large), "majority", COLORS[1]), line(decays, logits(s.size), "minority", COLORS[3]),
        ], x: { title: "√(λ<sub>W</sub> λ<sub>H</sub>)", type: "log" }, y: { range: [0, 1.02] } },
      ],
      formula: "With weight decay the minority merges if and only if its classes have at most "
        + "N² λ<sub>W</sub> λ<sub>H</sub> examples, N the number of all, with cross-entropy as with MSE, whose "
        + "logits are max(1 − N √(λ<sub>W</sub> λ<sub>H</sub>) / √n<sub>k</sub>, 0). With bounded norms and cross-entropy it "
        + "merges from R₀ on, the root of an equation in one unknown.",
      code: "from ncjax.ufm.theory.minority import peeled_threshold, ridge_threshold\n"
        + `peeled_threshold(${A}, ${B}, ${s.energy})\nridge_threshold(${total}, ${s.mu}, ${s.mu})`,
    };
  },
};

const TOPICS = [tree, flat, rowSums, minority];
