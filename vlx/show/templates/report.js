(() => {
  const { number, room, drawGrid, drawGradient, drawBar } = vlxMaps;

  document.body.classList.remove("still");

  // One photo may serve several places; it is embedded once.
  for (const copy of document.querySelectorAll("img[data-same]")) {
    copy.src = document.getElementById(copy.dataset.same).src;
  }

  for (const frame of document.querySelectorAll(".frame")) {
    const photo = frame.querySelector(".photo");
    frame.style.setProperty("--ratio", photo.getAttribute("width") / photo.getAttribute("height"));
  }

  function clear(figure) {
    const canvas = figure.querySelector(".map");
    canvas.ticket = null;
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    figure.classList.remove("shown");
  }

  function draw(figure, view, index, stretched) {
    const canvas = figure.querySelector(".map");
    canvas.ticket = null;
    (view.pixels ? drawGradient : drawGrid)(canvas, view, view.maps[index], stretched);
    figure.classList.add("shown");
  }

  function label(figure, map, stretched) {
    const ends = figure.querySelectorAll(".ends span");
    if (!ends.length) return;
    const high = map.high * room(map, stretched);
    [map.signed ? -high : 0, map.signed ? 0 : high / 2, high].forEach((value, i) => {
      ends[i].textContent = number(value);
    });
    drawBar(figure.querySelector(".bar"), map.signed);
  }

  function share(p) {
    return p > 0 && p < 0.005 ? "< 0.01" : p.toFixed(2);
  }

  function caption(item, data) {
    const figures = [...item.querySelectorAll(".view")];
    const buttons = [...item.querySelectorAll(".words button")];
    const readout = item.querySelector(".readout");
    const ofButton = (button) => Number(button.dataset.target);
    const shared = data.views[0].maps.findIndex((map) => !map.own);
    const stretch = item.querySelector(".stretched");
    const stretched = () => Boolean(stretch && stretch.checked);
    const visual = buttons.find((button) => button.dataset.target === item.dataset.visual) || null;
    let pinned = null, shown = null;

    function show(button) {
      shown = button;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      figures.forEach((figure) => {
        const view = data.views[Number(figure.dataset.view)];
        const map = button && view.maps[ofButton(button)];
        figure.querySelector(".stamp").hidden = !map || map.evidence;
        if (map) draw(figure, view, ofButton(button), stretched());
        else clear(figure);
        if (map) label(figure, map, stretched());
        else label(figure, view.maps[Math.max(shared, 0)], false);
      });
      readout.replaceChildren(...(button ? spoken(ofButton(button)) : []));
    }

    function spoken(index) {
      const name = document.createElement("b");
      name.textContent = data.targets[index];
      const score = number(data.scores[index]), p = data.probabilities[index];
      let rest = `: ${item.dataset.score} ${score}`;
      if (p !== null) rest += `, probability ${share(p)}`;
      const parts = data.views.map((view) => view.maps[index].told);
      if (new Set(parts).size === 1) rest += parts[0] && `; ${parts[0]}`;
      else data.views.forEach((view, i) => { rest += parts[i] && `; ${view.title}: ${parts[i]}`; });
      for (const view of data.views) {
        const error = view.maps[index].error;
        rest += error && `; ${data.views.length > 1 ? `${view.title}: ` : ""}${error}`;
      }
      const empty = data.views.filter((view) => !view.maps[index].evidence);
      if (empty.length) {
        rest += ". No positive evidence";
        if (empty.length < data.views.length) rest += ` (${empty.map((view) => view.title).join(", ")})`;
      }
      if (data.views[0].maps[index].own) rest += ". Drawn on a scale of its own";
      return [name, document.createTextNode(rest + ".")];
    }

    function pin(button) {
      readout.setAttribute("aria-live", "polite"); // what was shown unasked is not announced
      pinned = button;
      for (const other of buttons) other.tabIndex = other === (button || buttons[0]) ? 0 : -1;
      show(button);
    }

    buttons.forEach((button, i) => {
      const map = data.views[0].maps[ofButton(button)];
      button.style.setProperty("--peak", map.peak);
      button.addEventListener("focus", () => pin(button));
      button.addEventListener("click", () => { button.focus(); pin(button); });
      button.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") show(button); });
      button.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") show(pinned); });
      button.addEventListener("keydown", (event) => {
        const last = buttons.length - 1;
        const next = {
          ArrowRight: i === last ? 0 : i + 1, ArrowDown: i === last ? 0 : i + 1,
          ArrowLeft: i === 0 ? last : i - 1, ArrowUp: i === 0 ? last : i - 1,
          Home: 0, End: last,
        }[event.key];
        if (event.key === "Escape") { pin(null); event.preventDefault(); return; }
        if (next === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        buttons[next].focus();
      });
    });
    if (stretch) stretch.addEventListener("change", () => show(shown));
    const focused = buttons.find((button) => button === document.activeElement);
    if (focused) pin(focused);
    else {
      pinned = visual;
      show(visual);
    }
  }

  function choices(item, data) {
    for (const figure of item.querySelectorAll("[data-fixed]")) {
      draw(figure, data.views[Number(figure.dataset.view)], Number(figure.dataset.fixed));
    }
  }

  const begun = new WeakSet();

  function begin(item) {
    if (begun.has(item)) return;
    begun.add(item);
    const data = JSON.parse(item.querySelector(".data").textContent);
    for (const bar of item.querySelectorAll(".bar")) drawBar(bar, bar.dataset.signed === "yes");
    (item.dataset.kind === "caption" ? caption : choices)(item, data);
  }

  // Items are prepared when they come near the window, so that a page of many opens at once.
  const watch = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) {
      if (!isIntersecting) continue;
      watch.unobserve(target);
      begin(target);
    }
  }, { rootMargin: "600px" });
  const items = [...document.querySelectorAll(".item")];
  for (const item of items) {
    const first = item.querySelector(".words button");
    if (first) first.tabIndex = 0;
    watch.observe(item);
  }
  document.addEventListener("focusin", ({ target }) => {
    const item = target.closest(".item");
    if (item) begin(item);
  });

  const filter = document.getElementById("filter");
  if (filter) filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const item of items) item.hidden = !item.dataset.text.toLowerCase().includes(wanted);
    const left = items.filter((item) => !item.hidden).length;
    document.getElementById("filtered").textContent = wanted ? `${left} of ${items.length}` : "";
  });
})();
