"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const element = (id) => document.getElementById(id);
  const data = read("data");
  const FRAMES = Math.max(1, Math.round(data.duration_s * data.fps));
  const TOGETHER_S = 0.06;
  const APART_S = 0.5;
  const SEEK_EVERY_MS = 1500;
  const GATHER_MS = 5000;

  // Sources: set when a video comes near the view, removed when it is far.

  const opened = new Map();

  function open(clip) {
    if (data.files[clip]) return data.files[clip];
    let entry = opened.get(clip);
    if (!entry) {
      const text = document.querySelector(`script[data-embedded="${CSS.escape(clip)}"]`).textContent;
      const bytes = Uint8Array.from(atob(JSON.parse(text)), (letter) => letter.charCodeAt(0));
      entry = { url: URL.createObjectURL(new Blob([bytes], { type: "video/mp4" })), users: 0 };
      opened.set(clip, entry);
    }
    entry.users += 1;
    return entry.url;
  }

  function close(clip) {
    const entry = opened.get(clip);
    if (!entry) return;
    entry.users -= 1;
    if (entry.users === 0) {
      URL.revokeObjectURL(entry.url);
      opened.delete(clip);
    }
  }

  const near = new Set();
  const inView = new Set();
  const sought = new WeakMap();

  function load(video) {
    if (near.has(video)) return;
    near.add(video);
    video.src = open(video.dataset.clip);
    video.preload = "auto";
    video.load();
  }

  function release(video) {
    if (!near.delete(video)) return;
    inView.delete(video);
    video.pause();
    video.removeAttribute("src");
    video.load();
    close(video.dataset.clip);
  }

  const observer = new IntersectionObserver(
    (entries) => entries.forEach((entry) => (entry.isIntersecting ? load(entry.target) : release(entry.target))),
    { rootMargin: "500px 0px" },
  );
  const viewer = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (entry.isIntersecting) inView.add(entry.target);
    else inView.delete(entry.target);
  }));

  // One clock for all videos; shorter ones wait on their last frame.

  const clock = { playing: false, time: 0, rate: 1, last: 0, gatherUntil: 0 };
  const scrub = element("scrub");

  function target(video) {
    const inside = Math.min(clock.time, (video.duration || data.duration_s) - 0.5 / data.fps);
    return Math.max(0, inside);
  }

  function waits(video) {
    return clock.time >= video.duration - 0.5 / data.fps;
  }

  function seek(video, time) {
    if (video.seeking) return;
    sought.set(video, performance.now());
    video.currentTime = time;
  }

  function seekSeldom(video) {
    if (performance.now() - (sought.get(video) ?? -Infinity) > SEEK_EVERY_MS) seek(video, target(video));
  }

  // A seek decodes from the last key frame: a slow machine that followed the clock by seeking would do nothing else.
  // So all videos seek to one place before they start; speed corrects small drifts, and a rare seek large ones.
  function follow(video) {
    if (video.readyState === 0) return;
    const off = video.currentTime - target(video);
    if (!clock.playing) {
      video.pause();
      if (Math.abs(off) > 0.004) seek(video, target(video));
    } else if (!inView.has(video) || waits(video)) {
      video.pause();
      if (inView.has(video) && Math.abs(off) > APART_S) seekSeldom(video);
    } else if (gathering()) {
      video.pause();
      if (Math.abs(off) > TOGETHER_S) seek(video, target(video));
    } else if (Math.abs(off) > APART_S) {
      seekSeldom(video);
    } else if (!video.seeking) {
      if (video.paused) video.play().catch(() => {});
      video.playbackRate = clock.rate * (1 - Math.max(-0.2, Math.min(0.2, off / clock.rate)));
    }
  }

  function gather() {
    clock.gatherUntil = performance.now() + GATHER_MS;
    near.forEach((video) => video.pause());
  }

  function gathering() {
    if (performance.now() > clock.gatherUntil) return false;
    const all = [...inView].every(
      (video) => video.error || (video.readyState >= 2 && !video.seeking &&
        (waits(video) || Math.abs(video.currentTime - target(video)) <= TOGETHER_S)),
    );
    if (all) clock.gatherUntil = 0;
    return !all;
  }

  function show() {
    const frame = Math.min(FRAMES - 1, Math.floor(clock.time * data.fps + 1e-6));
    scrub.value = String(frame);
    scrub.setAttribute("aria-valuetext", `${clock.time.toFixed(2)} seconds`);
    element("time").textContent = `${clock.time.toFixed(2)} / ${data.duration_s.toFixed(2)} s`;
    near.forEach(follow);
  }

  function tick(now) {
    if (!clock.playing) return;
    if (!gathering()) clock.time += Math.min(0.25, (now - clock.last) / 1000) * clock.rate;
    clock.last = now;
    if (clock.time >= data.duration_s) {
      clock.time = 0;
      gather();
    }
    show();
    requestAnimationFrame(tick);
  }

  function play(wanted) {
    if (clock.playing === wanted) return;
    clock.playing = wanted;
    clock.last = performance.now();
    const button = element("play");
    button.querySelector(".word").textContent = wanted ? "Pause" : "Play";
    button.firstElementChild.textContent = wanted ? "❚❚" : "▶";
    if (wanted) {
      gather();
      requestAnimationFrame(tick);
    } else toFrame(Math.floor(clock.time * data.fps + 1e-6));
  }

  function toFrame(frame) {
    clock.time = (((frame % FRAMES) + FRAMES) % FRAMES + 0.5) / data.fps;
    show();
  }

  function step(by) {
    play(false);
    toFrame(Math.floor(clock.time * data.fps + 1e-6) + by);
    announce(`${clock.time.toFixed(2)} seconds`);
  }

  function announce(text) {
    element("announce").textContent = text;
  }

  function toggle() {
    play(!clock.playing);
    announce(clock.playing ? "playing" : `paused at ${clock.time.toFixed(2)} seconds`);
  }

  scrub.max = String(FRAMES - 1);
  scrub.addEventListener("input", () => {
    play(false);
    toFrame(Number(scrub.value));
  });
  element("play").addEventListener("click", toggle);
  element("back").addEventListener("click", () => step(-1));
  element("forth").addEventListener("click", () => step(1));
  element("speed").addEventListener("change", (event) => { clock.rate = Number(event.target.value); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const at = event.target instanceof Element ? event.target : document.body;
    const takes = (selector) => at.closest(selector) !== null;
    if (event.key === " " && !takes("button, select, summary, a, textarea, input:not([type=range])")) {
      event.preventDefault();
      toggle();
    } else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && !takes("input, select, .scroller:focus")) {
      event.preventDefault();
      step(event.key === "ArrowLeft" ? -1 : 1);
    }
  });

  // The videos of a grid: rows and columns by choice, rows sorted and filtered.

  const make = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const choiceOf = (label, options, change) => {
    const select = make("select", {}, ...options.map(([value, text]) => make("option", { value, textContent: text })));
    select.addEventListener("change", change);
    return [make("label", { textContent: `${label} ` }, select), select];
  };

  function arrange(matrix) {
    const { by, axes, short, metrics, turned } = JSON.parse(matrix.dataset.matrix);
    const table = matrix.querySelector("table");
    const place = table ? table.tBodies[0] : matrix.querySelector("ul");
    const figures = [...matrix.querySelectorAll("figure.cell")].map((figure) => ({
      figure, at: JSON.parse(figure.dataset.at), metrics: JSON.parse(figure.dataset.metrics),
    }));
    const ofFigure = new Map(figures.map((one) => [one.figure, one]));
    const named = (name, value) => (name === "prompt" ? value : `${short[name]} ${value}`);
    const given = { head: table?.tHead.rows[0], rows: [...place.children], at: new Map(figures.map(({ figure }) => [figure, figure.parentNode])) };
    const others = (name) => Object.keys(by).filter((other) => other !== name && by[other].length > 1);
    const columnNames = table ? Object.keys(by).filter((name) => by[name].length > 1) : [];

    const status = make("output", { className: "note" });
    const draw = () => { show_rows(build()); };
    const [columnsLabel, columns] = choiceOf("Columns", [["", axes.join(" and ") || "none"], ...columnNames.filter((name) => axes.length > 1 || name !== axes[0]).map((name) => [name, name])], () => { fill_rows(); draw(); });
    const [rowsLabel, rows] = choiceOf("Rows", [], draw);
    const [sortLabel, sort] = choiceOf("Sort by", [["", "file order"], ["name", "name"], ...Object.entries(metrics).flatMap(([name, title]) => [[`-${name}`, `${title}, highest first`], [`+${name}`, `${title}, lowest first`]])], draw);
    const filter = make("input", { type: "search", placeholder: "prompt, value, failed" });
    filter.addEventListener("input", draw);

    function fill_rows() {
      const column = columns.value || (axes.length === 1 ? axes[0] : "");
      rows.replaceChildren(make("option", { value: "", textContent: "all else" }), ...others(column).map((name) => make("option", { value: name, textContent: name })));
    }

    function build() {
      if (!table || (columns.value === "" && rows.value === "")) {
        for (const [figure, cell] of given.at) cell.prepend(figure);
        if (table) table.tHead.replaceChildren(given.head);
        if (table) table.style.setProperty("--columns", String(given.head.cells.length - 1));
        return given.rows;
      }
      const column = columns.value;
      const rest = rows.value ? [rows.value] : others(column);
      const keyOf = (one) => rest.map((name) => named(name, one.at[name])).join(", ");
      const across = column === "" ? [...given.head.cells].slice(1).map((head) => head.textContent.trim()) : by[column];
      const columnOf = (one) => (column === "" ? given.at.get(one.figure).cellIndex - 1 : across.indexOf(one.at[column]));
      const found = new Map();
      for (const one of figures) {
        if (!found.has(keyOf(one))) found.set(keyOf(one), across.map(() => []));
        found.get(keyOf(one))[columnOf(one)].push(one);
      }
      table.tHead.replaceChildren(make("tr", {}, make("th", { scope: "col", textContent: rest.join(", ") }),
        ...across.map((value) => make("th", { scope: "col", textContent: column === "" ? value : named(column, value) }))));
      table.style.setProperty("--columns", String(across.length));
      return [...found].map(([key, cells]) => make("tr", {}, make("th", { scope: "row", textContent: key }),
        ...cells.map((held) => make("td", {}, ...(held.length ? held.map(({ figure }) => figure) : [make("p", { className: "absent", textContent: "no run" })])))));
    }

    function show_rows(built) {
      const wanted = filter.value.trim().toLowerCase();
      const metric = sort.value.slice(1);
      const of = (row) => [...row.querySelectorAll("figure.cell")].map((figure) => ofFigure.get(figure));
      const name = (row) => row.querySelector("th, .value").textContent.trim();
      const mean = (row) => {
        const known = of(row).map((one) => one.metrics[metric]?.[0]).filter((value) => value !== undefined);
        return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : NaN;
      };
      const sign = sort.value.startsWith("-") ? -1 : 1;
      const ordered = sort.value === "" ? built : sort.value === "name"
        ? [...built].sort((a, b) => name(a).localeCompare(name(b), undefined, { numeric: true }))
        : [...built].sort((a, b) => (Number.isNaN(mean(a)) - Number.isNaN(mean(b))) || sign * (mean(a) - mean(b)));
      const shown = ordered.filter((row) => wanted === "" || row.textContent.toLowerCase().includes(wanted));
      place.replaceChildren(...shown);
      status.textContent = shown.length === built.length ? "" : `${shown.length} of ${built.length} rows`;
    }

    const tools = make("div", { className: "tools" });
    if (columnNames.length > 1) {
      fill_rows();
      tools.append(columnsLabel, rowsLabel);
    }
    if (given.rows.length > 1) tools.append(sortLabel, make("label", { textContent: "Show only " }, filter), status);
    if (tools.children.length) matrix.prepend(tools);
    if (turned) {
      columns.value = "prompt";
      fill_rows();
      draw();
    }
  }
  const matrices = [...document.querySelectorAll("[data-matrix]")];
  const asWritten = matrices.map((matrix) => matrix.cloneNode(true));
  const videos = document.querySelectorAll("video[data-clip]");
  matrices.forEach(arrange);

  // One video enlarged, and another one laid over it.

  const zoom = element("zoom");
  const under = element("zoom-under");
  const over = element("zoom-over");
  const slider = element("zoom-slider");
  const withOther = element("zoom-with");
  let zoomed = null;

  const titleOf = (figure) => figure.dataset.name;
  const clipOf = (figure) => figure.querySelector("video[data-clip]");
  const siblings = (figure) => [...(figure.closest("tr, ul") ?? figure.parentNode).querySelectorAll("figure.cell")].filter(clipOf);

  function enlarge(video, figure) {
    release(video);
    const like = clipOf(figure);
    video.dataset.clip = like.dataset.clip;
    const whole = Math.max(1, Math.floor(Math.min(innerWidth * 0.86 / like.width, innerHeight * 0.58 / like.height)));
    const scale = like.width >= innerWidth * 0.86 || like.height > innerHeight * 0.58 ? Math.min(innerWidth * 0.86 / like.width, innerHeight * 0.58 / like.height) : whole;
    video.style.width = `${like.width * scale}px`;
    video.style.imageRendering = like.width < 256 ? "pixelated" : "auto";
    load(video);
    inView.add(video);
  }

  function numbers(figures) {
    const all = figures.map((figure) => JSON.parse(figure.dataset.metrics));
    const rows = Object.entries(data.metrics).filter(([name]) => all.some((one) => one[name]));
    element("zoom-numbers").tHead.replaceChildren(make("tr", {}, make("th", { textContent: "Metric" }), ...figures.map((figure) => make("th", { textContent: titleOf(figure) }))));
    element("zoom-numbers").tBodies[0].replaceChildren(...rows.map(([name, title]) =>
      make("tr", {}, make("th", { scope: "row", textContent: title }), ...all.map((one) => make("td", { textContent: one[name]?.[1] ?? "–" })))));
  }

  function lay() {
    const other = siblings(zoomed)[Number(withOther.value)];
    const has = withOther.value !== "" && other !== undefined;
    over.hidden = slider.hidden = !has;
    if (has) enlarge(over, other);
    else release(over);
    over.style.clipPath = `inset(0 0 0 ${slider.value}%)`;
    element("zoom-title").textContent = titleOf(zoomed) + (has ? ` | ${titleOf(other)}` : "");
    numbers(has ? [zoomed, other] : [zoomed]);
    show();
  }

  function open_zoom(figure) {
    zoomed = figure;
    withOther.replaceChildren(make("option", { value: "", textContent: "nothing" }), ...siblings(figure).flatMap((other, place) =>
      other === figure ? [] : [make("option", { value: String(place), textContent: titleOf(other) })]));
    if (!zoom.open) zoom.showModal();
    enlarge(under, figure);
    lay();
  }

  function next_zoom(by) {
    const all = [...document.querySelectorAll("figure.cell")].filter((figure) => clipOf(figure) && figure.dataset.metrics);
    open_zoom(all[(all.indexOf(zoomed) + by + all.length) % all.length]);
  }

  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button.zoom") : null;
    if (button) open_zoom(button.closest("figure"));
    else if (event.target === zoom) zoom.close();
  });
  zoom.addEventListener("close", () => { [under, over].forEach(release); });
  withOther.addEventListener("change", lay);
  slider.addEventListener("input", () => { over.style.clipPath = `inset(0 0 0 ${slider.value}%)`; });
  element("zoom-back").addEventListener("click", () => next_zoom(-1));
  element("zoom-forth").addEventListener("click", () => next_zoom(1));

  // Print shows what is folded.

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((one) => { one.open = false; }));

  document.querySelectorAll("video").forEach((video) => {
    video.muted = true;
    video.addEventListener("loadeddata", () => follow(video));
    video.addEventListener("seeked", () => { if (near.has(video)) follow(video); });
  });
  videos.forEach((video) => { observer.observe(video); viewer.observe(video); });

  // Votes: in the page, in this browser, and in a saved copy.

  const PLACE = `cogx-runs-report-${data.report}`;
  const VOTER = "cogx-runs-voter";

  function stored(place, fallback) {
    try { return JSON.parse(localStorage.getItem(place)) ?? fallback; } catch { return fallback; }
  }

  function store(place, value) {
    try { localStorage.setItem(place, JSON.stringify(value)); return true; } catch { return false; }
  }

  const voter = stored(VOTER, null) || Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  store(VOTER, voter);
  const votes = new Map();
  const keyOf = (vote) => `${vote.voter} ${vote.a} ${vote.b}`;
  for (const vote of [...read("votes").votes, ...stored(PLACE, [])]) {
    const known = votes.get(keyOf(vote));
    if (!known || known.at <= vote.at) votes.set(keyOf(vote), vote);
  }

  function countVotes() {
    for (const grid of data.grids) {
      const table = document.querySelector(`table[data-tally="${CSS.escape(grid.key)}"]`);
      if (!table) continue;
      const counts = grid.values.map(() => [0, 0, 0]);
      for (const row of grid.rows) {
        const columns = new Map(row.sides.map((side) => [side.signature, side.column]));
        for (const vote of votes.values()) {
          if (!columns.has(vote.a) || !columns.has(vote.b)) continue;
          for (const side of [vote.a, vote.b]) {
            counts[columns.get(side)][vote.winner === null ? 2 : vote.winner === side ? 0 : 1] += 1;
          }
        }
      }
      table.querySelectorAll("tbody tr").forEach((line, column) => {
        line.querySelectorAll("td[data-count]").forEach((cell, place) => { cell.textContent = String(counts[column][place]); });
      });
      table.closest("[data-result]").hidden = counts.flat().every((number) => number === 0);
    }
  }

  const stage = element("vote-stage");
  const choice = element("vote-grid");
  let pair = null;
  let decided = false;

  function pairsOf(grid) {
    const pairs = [];
    for (const row of grid.rows) {
      row.sides.forEach((one, place) => row.sides.slice(place + 1).forEach((other) => {
        if (one.signature !== other.signature) pairs.push({ grid, row, sides: [one, other] });
      }));
    }
    return pairs;
  }

  function signatures(sides) {
    return sides.map((side) => side.signature).sort();
  }

  function undecided() {
    const chosen = data.grids.filter((grid) => choice.value === "" || grid.key === choice.value);
    const seen = new Set();
    return chosen.flatMap(pairsOf).filter(({ sides }) => {
      const [a, b] = signatures(sides);
      if (seen.has(`${a} ${b}`) || votes.has(`${voter} ${a} ${b}`)) return false;
      seen.add(`${a} ${b}`);
      return true;
    });
  }

  function random(below) {
    return Math.floor(Math.random() * below);
  }

  function put(video, clip) {
    release(video);
    video.dataset.clip = clip;
    const like = [...videos].find((shown) => shown.dataset.clip === clip);
    if (like) {
      video.width = like.width;
      video.height = like.height;
    }
    load(video);
    inView.add(video);
  }

  function next() {
    const open_pairs = undecided();
    element("vote-left-name").textContent = "";
    element("vote-right-name").textContent = "";
    element("vote-next").hidden = true;
    if (open_pairs.length === 0) {
      [element("vote-left"), element("vote-right")].forEach(release);
      stage.hidden = true;
      pair = null;
      element("vote-status").textContent = "You have voted on all pairs of this choice.";
      return;
    }
    pair = open_pairs[random(open_pairs.length)];
    if (random(2)) pair.sides.reverse();
    decided = false;
    stage.hidden = false;
    element("vote-prompt").textContent = pair.row.prompt;
    element("vote-status").textContent = `${open_pairs.length} pair${open_pairs.length === 1 ? "" : "s"} to go.`;
    stage.querySelectorAll("[data-choice]").forEach((button) => { button.disabled = false; });
    put(element("vote-left"), pair.sides[0].clip);
    put(element("vote-right"), pair.sides[1].clip);
    stage.focus();
  }

  function decide(word) {
    if (pair === null || decided) return;
    decided = true;
    const [a, b] = signatures(pair.sides);
    const winner = word === "none" ? null : pair.sides[word === "left" ? 0 : 1].signature;
    const vote = { a, b, winner, voter, at: new Date().toISOString() };
    votes.set(keyOf(vote), vote);
    const kept = store(PLACE, [...votes.values()]);
    const names = pair.sides.map((side) => pair.grid.values[side.column]);
    element("vote-left-name").textContent = names[0] + (word === "left" ? " · your choice" : "");
    element("vote-right-name").textContent = names[1] + (word === "right" ? " · your choice" : "");
    element("vote-status").textContent =
      `Left was ${names[0]}, right was ${names[1]}.` +
      (kept ? "" : " This browser keeps nothing for this page: save it with the votes.");
    stage.querySelectorAll("[data-choice]").forEach((button) => { button.disabled = true; });
    element("vote-next").hidden = false;
    element("vote-next").focus();
    countVotes();
  }

  function save() {
    const copy = document.documentElement.cloneNode(true);
    const within = (selector) => copy.querySelectorAll(selector);
    within("[data-matrix]").forEach((matrix, place) => matrix.replaceWith(asWritten[place].cloneNode(true)));
    within("video").forEach((video) => { video.removeAttribute("src"); video.setAttribute("preload", "none"); });
    within("#zoom").forEach((dialog) => dialog.removeAttribute("open"));
    within("#vote-left, #vote-right, #zoom-under, #zoom-over").forEach((video) => ["data-clip", "width", "height", "style"].forEach((name) => video.removeAttribute(name)));
    within("#vote-stage, #vote-next").forEach((part) => part.setAttribute("hidden", ""));
    within("#vote-grid, #vote-prompt, #vote-left-name, #vote-right-name, #vote-status, #announce, #zoom-with").forEach((part) => part.replaceChildren());
    within("#play .word").forEach((word) => { word.textContent = "Play"; });
    within("#play [aria-hidden]").forEach((sign) => { sign.textContent = "▶"; });
    const ballot = { report: data.report, votes: [...votes.values()] };
    copy.querySelector("#votes").textContent = JSON.stringify(ballot).replaceAll("<", "\\u003c");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["<!doctype html>\n", copy.outerHTML, "\n"], { type: "text/html" }));
    link.download = `report-votes-${voter.slice(0, 6)}.html`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  const choosable = data.grids.filter((grid) => pairsOf(grid).length > 0);
  const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });
  choice.append(option("", "everything"), ...choosable.map((grid) => option(grid.key, `${grid.experiment}: ${grid.axis}`)));
  element("vote-start").disabled = choosable.length === 0;
  if (choosable.length === 0) element("vote-status").textContent = "No two videos here differ in one parameter alone.";
  else element("vote-status").textContent = `${undecided().length} pairs to vote on.`;
  choice.addEventListener("change", () => { if (pair === null) element("vote-status").textContent = `${undecided().length} pairs to vote on.`; });
  element("vote-start").addEventListener("click", next);
  element("vote-next").addEventListener("click", next);
  element("vote-save").addEventListener("click", save);
  stage.querySelectorAll("[data-choice]").forEach((button) => button.addEventListener("click", () => decide(button.dataset.choice)));
  stage.addEventListener("keydown", (event) => {
    const word = { 1: "left", 2: "right", 0: "none" }[event.key];
    if (word && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      decide(word);
    }
  });
  countVotes();

  show();
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play(true);
})();
