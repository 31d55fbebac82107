// Runs plotly.js, which lies packed by gzip in the element "plotly" of the page.
const unpackPlotly = async () => {
  const text = document.getElementById("plotly").textContent.trim();
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
};
