"use strict";
(async () => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const media = matchMedia("(prefers-color-scheme: dark)");
  const all = (what) => [...document.querySelectorAll(what)];
  const byId = (id) => document.getElementById(id);
  let chosen = ""; // a theme that the reader has chosen; else that of the system
  let printing = false;

  const dark = () => !printing && (chosen ? chosen === "dark" : media.matches);
  const setTheme = () => {
    root.dataset.theme = dark() ? "dark" : "light";
    byId("theme").textContent = dark() ? "Light" : "Dark";
  };
  setTheme();

  // Scales of heat maps, from 0 or -1 up; their middle or their beginning is the paper.
  const scales = (paper) => ({
    diverging: [[0, "#2166ac"], [0.25, "#67a9cf"], [0.5, paper], [0.75, "#ef8a62"],
      [1, "#b2182b"]],
    sequential: dark() ? [[0, paper], [0.5, "#2b659f"], [1, "#a9d3ff"]]
      : [[0, paper], [0.45, "#7fb2dc"], [1, "#1b5fa5"]],
    values: dark() ? [[0, "#1d2b3a"], [0.5, "#2b659f"], [1, "#a9d3ff"]]
      : [[0, "#edf4fb"], [0.45, "#8fbde3"], [1, "#1b5fa5"]],
  });

  // What a chart looks like in the theme of the page.
  const look = (chart) => {
    const style = getComputedStyle(root);
    const color = (name) => style.getPropertyValue(name).trim();
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: color("--ink"), size: 12, family: "system-ui, sans-serif" },
      hoverlabel: { bgcolor: color("--panel"), bordercolor: color("--line"),
        font: { color: color("--ink") } },
      dragmode: touch ? false : "zoom", ...chart.layout,
      margin: { l: 52, r: 14, t: 34, b: 44, ...(chart.layout.margin || {}) },
    };
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(key)) {
        layout[key] = { automargin: true, gridcolor: color("--line"),
          linecolor: color("--line"), zerolinecolor: color("--line"),
          ...layout[key] };
      }
    }
    const scale = scales(color("--paper"));
    const log = (layout.yaxis || {}).type === "log";
    const data = chart.data.map((trace) => {
      if (trace.type === "heatmap") return { ...trace, colorscale: scale[trace.meta] };
      // A logarithmic axis has no 0: a gap, not a line down to the edge.
      const gaps = log && !trace.yaxis && (trace.line || {}).width;
      return gaps ? { ...trace, y: trace.y.map((y) => (y > 0 ? y : null)) } : trace;
    });
    return [data, layout];
  };

  const settings = { responsive: true, displayModeBar: false };
  const touch = matchMedia("(pointer: coarse)").matches; // a finger scrolls the page
  const charts = {}; // by the id of their element
  const draw = (id) => {
    const [data, layout] = look(charts[id]);
    return Plotly.react(id, data, layout, settings);
  };
  const redraw = () => {
    setTheme();
    return Promise.all(Object.keys(charts).map(draw));
  };

  // The axes of all curves: logarithmic or linear.
  const axisButton = (button) => button.addEventListener("click", () => {
    const axis = button.dataset.axis;
    const log = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(log));
    for (const element of all(".chart.curve")) {
      const { layout } = charts[element.id];
      layout[axis] = { ...layout[axis], type: log ? "log" : "linear" };
      delete layout[axis].range;
      delete layout[axis].dtick;
      if (axis === "yaxis") {
        for (const trace of charts[element.id].data) {
          if (trace.meta === "zeros") trace.visible = log;
        }
      }
      draw(element.id);
    }
  });

  // Curves that are shown when a reader asks for them, such as those of each seed.
  const showButton = (button) => button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    for (const element of all(".chart.curve")) {
      let some = false;
      for (const trace of charts[element.id].data) {
        if (trace.meta === button.dataset.show) { trace.visible = on; some = true; }
      }
      if (some) draw(element.id);
    }
  });

  // One metric out of all, in a chart of its own.
  const metricChart = (element) => {
    const { epochs, metrics } = page.metrics;
    const choice = byId("metric");
    const show = () => {
      const [title, log, values, low, high] = metrics[choice.value];
      const marks = epochs.length < 80 ? "lines+markers" : "lines";
      const edge = { x: epochs, mode: "lines", line: { width: 0 }, hoverinfo: "skip",
        showlegend: false };
      const data = [{ x: epochs, y: values, mode: marks, name: title,
        hovertemplate: "%{y:.4g}<extra></extra>", line: { color: "#3a86c8" },
        marker: { size: 4 } }];
      if (low) {
        data.unshift({ ...edge, y: low }, { ...edge, y: high, fill: "tonexty",
          fillcolor: "rgba(58,134,200,0.2)" });
      }
      const layout = structuredClone(page.charts[element.dataset.chart].layout);
      layout.xaxis.type = (charts[element.id] || { layout }).layout.xaxis.type;
      if (layout.xaxis.type === "linear") delete layout.xaxis.dtick;
      layout.yaxis.type = log ? "log" : "linear";
      charts[element.id] = { data, layout };
      byId("metric-key").textContent = choice.value;
      return draw(element.id);
    };
    choice.addEventListener("change", show);
    return show();
  };

  // Charts at the epoch of a slider: `change(at, id)` gives what is new in each.
  const epochSlider = (slider, epochs, ids, change) => {
    slider.addEventListener("input", () => {
      const at = Number(slider.value);
      byId(`${slider.id}-shown`).textContent = `epoch ${epochs[at]}`;
      for (const id of ids.filter((known) => charts[known])) {
        charts[id].data[0] = { ...charts[id].data[0], ...change(at, id) };
        draw(id);
      }
    });
    all(`[data-play="${slider.id}"]`).forEach((button) => {
      button.addEventListener("click", async () => {
        for (let at = 0; at < epochs.length; at += 1) {
          slider.value = at;
          slider.dispatchEvent(new Event("input"));
          await new Promise((done) => { setTimeout(done, 90); });
        }
      });
    });
  };
  const meansSlider = (slider) => {
    const { epochs, cosines, spectra } = page.geometry;
    epochSlider(slider, epochs, ["cosines", "spectrum"],
      (at, id) => (id === "cosines" ? { z: cosines[at] } : { y: spectra[at] }));
  };
  const confusionSlider = (slider) => {
    const { epochs, tables } = page.confusion;
    const level = all('select[data-of="confusion"]');
    epochSlider(slider, epochs, ["confusion"], (at) => {
      const [z, text] = tables[level.length ? level[0].selectedIndex : 0][at];
      return { z, text };
    });
  };

  // A chart whose content is one of several, such as the levels of a tree.
  const switcher = (select) => select.addEventListener("change", () => {
    const { of } = select.dataset;
    charts[of] = page.charts[select.value];
    const slider = byId(`${of}-epoch`);
    if (slider) slider.dispatchEvent(new Event("input")); // the same epoch of it
    else draw(of);
  });

  byId("theme").addEventListener("click", () => {
    chosen = dark() ? "light" : "dark";
    redraw();
  });
  media.addEventListener("change", redraw);
  if (all(".chart").length) {
    try {
      await unpackPlotly();
    } catch (error) {
      for (const element of all(".chart")) {
        element.textContent = "This browser is too old for the charts.";
      }
      return;
    }
    for (const element of all(".chart")) {
      if (element.dataset.chart === "metric") continue;
      charts[element.id] = page.charts[element.dataset.chart];
      await draw(element.id);
    }
    for (const element of all('.chart[data-chart="metric"]')) await metricChart(element);
    all("button[data-axis]").forEach(axisButton);
    all("button[data-show]").forEach(showButton);
    all("select[data-of]").forEach(switcher);
    all("#epoch").forEach(meansSlider);
    all("#confusion-epoch").forEach(confusionSlider);
  }
  addEventListener("beforeprint", () => { printing = true; redraw(); });
  addEventListener("afterprint", () => { printing = false; redraw(); });
  root.dataset.ready = "true";
})();
