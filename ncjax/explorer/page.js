"use strict";
// Builds the page of TOPICS: controls, facts and plots, and draws them anew when a
// slider moves.  The settings are kept in the address of the page.

const root = document.documentElement;
const narrow = matchMedia("(max-width: 640px)");

function element(kind, parent, text = "", attributes = {}) {
  const made = document.createElement(kind);
  made.innerHTML = text; // of topics.js, never of the address
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.append(made);
  return made;
}

// Where a slider stands for a value, and the value for where it stands.
const place = (control, value) => (control.log ? Math.log10(value) : value);
function valueAt(control, at) {
  const value = control.log ? 10 ** at : at;
  return control.whole ? Math.round(value) : Number(value.toPrecision(3));
}

function addControl(form, control, settings, changed) {
  const label = element("label", form);
  element("span", label, control.label);
  if (control.options) {
    element("span", label);
    const select = element("select", label);
    for (const [value, text] of control.options) element("option", select, text, { value });
    select.value = settings[control.key];
    select.onchange = () => changed(control.key, select.value);
    return { label, control };
  }
  const output = element("output", label);
  const [low, high] = [control.min, control.max].map((x) => place(control, x));
  const step = control.log ? (high - low) / 400 : control.step;
  const input = element("input", label, "", { type: "range", min: low, max: high, step });
  input.value = place(control, settings[control.key]);
  const show = () => { output.textContent = number(settings[control.key]); };
  input.oninput = () => {
    changed(control.key, valueAt(control, Number(input.value)));
    show();
  };
  show();
  return { label, control };
}

// The look of a plot, in the colours of the page.
function layoutOf(plot) {
  const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const axis = (given = {}) => ({
    gridcolor: color("--grid"), zeroline: false, linecolor: color("--line"),
    exponentformat: given.type === "log" ? "power" : "none", automargin: true,
    ...(given.type === "log" ? { dtick: 2 } : {}), ...given,
    title: { text: given.title ?? "", standoff: 6, font: { size: 12 } },
  });
  return {
    margin: { l: 46, r: 12, t: narrow.matches ? 10 : 28, b: 42 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: color("--quiet"), activecolor: color("--text") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: color("--text"), size: 11, family: "inherit" },
    xaxis: axis(plot.x), yaxis: axis(plot.y),
    showlegend: plot.legend ?? false,
    legend: { orientation: "h", y: -0.24, yanchor: "top", x: 0 },
    // A finger that scrolls the page must not zoom into a plot.
    dragmode: narrow.matches ? false : "zoom",
    shapes: (plot.lines ?? []).map((x) => ({
      type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1,
      line: { color: color("--quiet"), width: 1.5, dash: "dot" },
    })),
    annotations: plot.note ? [{
      text: plot.note, showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5,
    }] : [],
  };
}

const redraws = [];

function addTopic(topic, settings, changed) {
  element("a", document.querySelector("nav"), topic.title, { href: `#${topic.id}` });
  const section = element("section", document.querySelector("main"), "", { id: topic.id });
  element("h2", section, topic.title);
  element("p", section, topic.lead, { class: "lead" });
  const form = element("form", section);
  const facts = element("dl", section);
  const plots = element("div", section, "", { class: "plots" });
  const formula = element("p", section, "", { class: "formula" });
  const code = element("pre", section);
  let asked = 0;
  const draw = () => {
    asked = 0;
    for (const { label, control } of controls)
      label.hidden = Boolean(control.when && !control.when(settings));
    const found = topic.find(settings);
    facts.replaceChildren();
    for (const [name, value] of found.facts) {
      const fact = element("div", facts);
      element("dt", fact, name);
      element("dd", fact, value);
    }
    while (plots.children.length < found.plots.length) {
      const figure = element("figure", plots);
      element("figcaption", figure);
      element("div", figure);
    }
    found.plots.forEach((plot, i) => {
      const [caption, place] = plots.children[i].children;
      caption.innerHTML = plot.title;
      Plotly.react(place, plot.traces, layoutOf(plot), {
        responsive: true, displaylogo: false, displayModeBar: narrow.matches ? false : "hover",
      });
    });
    formula.innerHTML = found.formula;
    code.textContent = found.code;
  };
  const controls = topic.controls.map((control) =>
    addControl(form, control, settings, (key, value) => {
      settings[key] = value;
      changed();
      asked ||= requestAnimationFrame(draw); // one picture a frame
    }));
  redraws.push(draw);
  draw();
}

// The settings of all topics, from the defaults and the address: #tree;beta=4;c=0.001
function readSettings() {
  const settings = Object.fromEntries(TOPICS.map((topic) => [
    topic.id, Object.fromEntries(topic.controls.map((x) => [x.key, x.value]))]));
  const [id, ...given] = decodeURIComponent(location.hash.slice(1)).split(";");
  const topic = TOPICS.find((x) => x.id === id);
  for (const text of topic ? given : []) {
    const [key, value] = text.split("=");
    const control = topic.controls.find((x) => x.key === key);
    if (control?.options?.some(([name]) => name === value)) settings[id][key] = value;
    else if (control?.min <= Number(value) && Number(value) <= control.max)
      settings[id][key] = control.whole ? Math.round(Number(value)) : Number(value);
  }
  return [settings, topic && id];
}

function setTheme(theme) {
  root.dataset.theme = theme;
  document.getElementById("theme").textContent = theme === "dark" ? "Light" : "Dark";
  for (const draw of redraws) draw();
}

async function start() {
  const [all, asked] = readSettings();
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  setTheme(darkness.matches ? "dark" : "light");
  try {
    await unpackPlotly();
  } catch (error) {
    element("p", document.querySelector("main"), "This browser is too old for the plots.");
    return;
  }
  darkness.onchange = () => setTheme(darkness.matches ? "dark" : "light");
  document.getElementById("theme").onclick = () =>
    setTheme(root.dataset.theme === "dark" ? "light" : "dark");
  for (const topic of TOPICS)
    addTopic(topic, all[topic.id], () => {
      const given = Object.entries(all[topic.id]).map(([key, value]) => `${key}=${value}`);
      clearTimeout(addTopic.later); // browsers allow few changes of the address a second
      addTopic.later = setTimeout(
        () => history.replaceState(null, "", `#${[topic.id, ...given].join(";")}`), 300);
    });
  if (asked) document.getElementById(asked).scrollIntoView();
  root.dataset.ready = "true";
}

start();
