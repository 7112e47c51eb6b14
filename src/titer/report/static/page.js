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
      if (trace.width) {
        trace.width = trace.width.map((width, i) => place(trace.x[i]) - place(trace.x[i] - width));
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
      for (const trace of figure.data) {
        if (trace.width) trace.offset = trace.width.map((width) => -width); // bars that end at their step
      }
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

  function made(tag, attributes, ...inside) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...inside);
    return element;
  }

  const text = (kind, value) => made("div", { class: kind, dir: "auto" }, value);

  // The archive's articles, laid out as parts.html.j2 lays out those of the page. All that is in them is text.
  function stepsOf(steps) {
    return steps.map(([place, does, look, words]) => made("li", { class: `step ${look}` },
      made("span", { class: "place" }, String(place)), made("span", { class: "does" }, does), text("text", words)));
  }

  function foldOf([summary, preview, steps]) {
    if (!summary) return stepsOf(steps);
    const heading = made("summary", {}, `${summary} `, made("span", { class: "preview", "aria-hidden": "true" }, preview));
    return [made("li", { class: "fold" }, made("details", {}, heading, made("ol", { class: "steps" }, ...stepsOf(steps))))];
  }

  function sideOf([heading, meta, folds, more, thinking, answered, response]) {
    const side = made("div", { class: "side" }, made("h4", {}, heading), made("p", { class: "meta" }, meta));
    if (folds.length) side.append(made("ol", { class: "steps" }, ...folds.flatMap(foldOf)));
    if (more) side.append(made("p", { class: "note" }, more));
    if (thinking) side.append(text("text thinking", thinking));
    if (answered) side.append(made("h4", {}, answered));
    if (response) side.append(text("text", response));
    return side;
  }

  function articleOf(id, [, , heading, meta, prompt, sides]) {
    const article = made("article", { id, "aria-labelledby": `${id}-name`, tabindex: "-1" },
      made("h3", { id: `${id}-name` }, heading));
    if (meta) article.append(made("p", { class: "meta" }, meta));
    article.append(text("text prompt", prompt), made("div", { class: "sides" }, ...sides.map(sideOf)));
    return article;
  }

  // Lines of JSON: the list, then an article each.
  async function unpacked(archive) {
    const bytes = Uint8Array.from(atob(archive.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return (await new Response(stream).text()).split("\n");
  }

  const wordsOf = (part) => (Array.isArray(part) ? part.map(wordsOf).join("\n") : String(part));

  // A reader shows one article at a time; without scripts, and on paper, the ones in the page follow each other.
  function makeReader(reader) {
    const name = reader.dataset.reader;
    const list = reader.querySelector(".list ol");
    const texts = reader.querySelector(".texts");
    const search = reader.querySelector("input");
    const found = reader.querySelector(".found");
    const turns = [...reader.querySelectorAll("[data-turn]")];
    const archive = reader.querySelector(".archive");
    let links = [...list.querySelectorAll("a")];
    let lines = null;
    let words = null;
    let all = found.textContent;

    const articleFor = (link) => document.getElementById(link.hash.slice(1))
      || texts.appendChild(articleOf(link.hash.slice(1), JSON.parse(lines[links.indexOf(link) + 1])));
    const seen = (link) => !link.parentElement.hidden;
    const current = () => links.findIndex((link) => link.hasAttribute("aria-current"));

    function next(place, step) {
      let other = place + step;
      while (links[other] && !seen(links[other])) other += step;
      return links[other];
    }

    function open(link) {
      links[current()]?.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
      const article = articleFor(link);
      for (const other of texts.querySelectorAll("article")) other.hidden = other !== article;
      offerTurns();
      return article;
    }

    function offerTurns() {
      for (const turn of turns) turn.disabled = !next(current(), Number(turn.dataset.turn));
    }

    function filter() {
      const wanted = search.value.toLowerCase().trim();
      words ||= lines ? lines.slice(1).map((line) => wordsOf(JSON.parse(line)).toLowerCase())
        : links.map((link) => `${link.textContent}\n${articleFor(link).textContent}`.toLowerCase());
      links.forEach((link, place) => { link.parentElement.hidden = !words[place].includes(wanted); });
      const fitting = links.filter(seen);
      found.textContent = wanted ? `${fitting.length.toLocaleString("en")} of ${links.length.toLocaleString("en")} found` : all;
      if (fitting.length && !seen(links[current()])) open(fitting[0]);
      else offerTurns();
    }

    list.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link) return;
      event.preventDefault();
      history.replaceState(null, "", link.hash);
      open(link).focus({ preventScroll: innerWidth > 736 });
    });
    list.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const other = step && next(links.indexOf(event.target.closest("a")), step);
      if (!step) return;
      event.preventDefault();
      if (other) { other.focus(); open(other); }
    });
    for (const turn of turns) {
      turn.addEventListener("click", () => {
        const other = next(current(), Number(turn.dataset.turn));
        if (!other) return;
        open(other);
        other.scrollIntoView({ block: "nearest" });
        history.replaceState(null, "", other.hash);
      });
    }

    const asked = () => links.find((link) => link.hash === location.hash);

    async function listAll() {
      lines = await unpacked(archive);
      archive.remove();
      const [shown] = links.splice(current(), 1);
      links = JSON.parse(lines[0]).map(([tag, label], place) => made("a", { href: `#${name}-${place + 1}` },
        made("span", { class: "tag" }, tag), made("span", {}, label)));
      list.replaceChildren(...links.map((link) => made("li", {}, link)));
      const total = Number(found.dataset.total).toLocaleString("en");
      const count = links.length.toLocaleString("en");
      all = count === total ? `${count} listed` : `${count} listed of ${total}, spread over all`;
      found.textContent = all;
      words = null;
      open(asked() || links.find((link) => link.hash === shown.hash));
      if (search.value) filter();
    }

    turns[0].parentElement.hidden = links.length < 2;
    search.parentElement.hidden = false;
    search.addEventListener("input", filter);
    open(asked() || links[0]);
    return archive && listAll;
  }

  // What takes long waits for the first paint.
  const painted = new Promise((done) => {
    new PerformanceObserver(done).observe({ type: "paint", buffered: true });
    addEventListener("beforeprint", done);
  });

  function runPlotly() {
    const text = document.getElementById("plotly");
    text.replaceWith(made("script", {}, text.textContent)); // the policy knows it by its hash
  }

  const lists = [...document.querySelectorAll("[data-reader]")].map(makeReader).filter(Boolean);
  painted.then(async () => {
    runPlotly();
    drawAll();
    dark.addEventListener("change", drawAll);
    document.documentElement.dataset.drawn = "";
    for (const listAll of lists) await listAll();
    document.documentElement.dataset.listed = "";
  });
})();
