"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const config = { displayModeBar: false, responsive: true };
  let trainingAxis = "linear";

  // "--blue" anywhere in a figure is the page's colour of that name.
  function coloured(value, style) {
    if (typeof value === "string") return value.startsWith("--") ? style.getPropertyValue(value).trim() : value;
    if (Array.isArray(value)) return value.map((item) => coloured(item, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, style)]));
  }

  // log2(1 + step / unit) has room for step 0, which a plain logarithm has not.
  function onLogAxis(figure) {
    const place = (step) => Math.log2(1 + step / figure.log.unit);
    for (const trace of figure.data) {
      if (trace.width) { // bars that end at their step
        trace.width = trace.width.map((width, i) => place(trace.x[i]) - place(trace.x[i] - width));
        trace.offset = trace.width.map((width) => -width);
      }
      trace.x = trace.x.map(place);
    }
    const { ticks, last } = figure.log;
    const margin = 0.015 * place(last);
    Object.assign(figure.layout.xaxis, {
      range: [-margin, place(last) + margin], tickvals: ticks.map(place), ticktext: ticks.map(String),
    });
    return figure;
  }

  function drawAll() {
    for (const plot of document.querySelectorAll("[data-figure]")) {
      const { data, layout, log } = figures[plot.dataset.figure];
      const figure = coloured({ data, layout, log }, getComputedStyle(document.documentElement));
      if (log && (log.start || trainingAxis === "log")) onLogAxis(figure);
      Plotly.react(plot, figure.data, figure.layout, config);
    }
  }

  for (const choice of document.querySelectorAll(".axis-choice")) {
    choice.hidden = false;
    choice.addEventListener("change", (event) => {
      trainingAxis = event.target.value;
      drawAll();
    });
  }

  // A reader shows one article at a time; without scripts, and on paper, all of them follow each other.
  function makeReader(reader) {
    const links = [...reader.querySelectorAll(".list a")];
    const articles = links.map((link) => document.getElementById(link.hash.slice(1)));
    const words = articles.map((article) => article.textContent.toLowerCase());
    const search = reader.querySelector("input");
    const found = reader.querySelector(".found");
    const all = found.textContent;

    function open(chosen) {
      links.forEach((link, place) => {
        articles[place].hidden = place !== chosen;
        if (place === chosen) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      });
    }

    function filter() {
      const wanted = search.value.toLowerCase().trim();
      const fitting = words.map((text) => text.includes(wanted));
      links.forEach((link, place) => { link.parentElement.hidden = !fitting[place]; });
      found.textContent = wanted ? `${fitting.filter(Boolean).length} of ${links.length} found` : all;
      const chosen = links.findIndex((link) => link.hasAttribute("aria-current"));
      if (!fitting[chosen] && fitting.includes(true)) open(fitting.indexOf(true));
    }

    links.forEach((link, place) => {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        history.replaceState(null, "", link.hash);
        open(place);
        articles[place].focus({ preventScroll: innerWidth > 736 });
      });
      link.addEventListener("keydown", (event) => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        let next = place + step;
        while (links[next] && links[next].parentElement.hidden) next += step;
        if (links[next]) { links[next].focus(); open(next); }
      });
    });
    search.parentElement.hidden = false;
    search.addEventListener("input", filter);
    open(Math.max(0, links.findIndex((link) => link.hash === location.hash)));
  }

  for (const reader of document.querySelectorAll("[data-reader]")) makeReader(reader);
  dark.addEventListener("change", drawAll);
  drawAll();
})();
