(() => {
  const { number, drawGrid, drawGradient, drawBar } = vlxMaps;

  document.body.classList.remove("still");

  // One photo may serve several places; it is embedded once.
  for (const copy of document.querySelectorAll("img[data-same]")) {
    copy.src = document.getElementById(copy.dataset.same).src;
  }
  for (const frame of document.querySelectorAll(".frame")) {
    const photo = frame.querySelector(".photo");
    frame.style.setProperty("--ratio", photo.getAttribute("width") / photo.getAttribute("height"));
  }

  const byId = (id) => document.getElementById(id);
  const items = [...document.querySelectorAll(".item")];
  const near = new Set();
  const method = byId("method");

  function draw(item) {
    const data = JSON.parse(item.querySelector(".data").textContent);
    const wanted = method ? data.views.findIndex((view) => view.title === method.value) : 0;
    const at = Math.max(wanted, 0), view = data.views[at];
    for (const figure of item.querySelectorAll(".view")) {
      const index = Number(figure.dataset.map), map = view.maps[index];
      const canvas = figure.querySelector(".map");
      canvas.width = Number(canvas.dataset.width);
      canvas.height = Number(canvas.dataset.height);
      (view.pixels ? drawGradient : drawGrid)(canvas, view, map);
      figure.classList.add("shown");
      figure.querySelector(".stamp").hidden = map.evidence || map.signed;
      figure.querySelector(".where").textContent = data.points[at][index];
      const scale = figure.querySelector(".scale");
      scale.hidden = view.pixels;
      const ends = scale.querySelectorAll(".ends span");
      [map.signed ? -map.high : 0, map.signed ? 0 : map.high / 2, map.high].forEach((value, i) => {
        ends[i].textContent = number(value);
      });
      drawBar(scale.querySelector(".bar"), map.signed);
    }
  }

  // A canvas far from the window is given back: hundreds of them would fill a phone's memory.
  function forget(item) {
    for (const canvas of item.querySelectorAll(".map")) {
      canvas.ticket = null;
      canvas.width = canvas.height = 1;
    }
  }

  const watch = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) {
      if (isIntersecting && !near.has(target)) {
        near.add(target);
        draw(target);
      } else if (!isIntersecting && near.delete(target)) forget(target);
    }
  }, { rootMargin: "800px" });
  for (const item of items) watch.observe(item);

  const sort = byId("sort");
  if (!sort) return;
  const filters = ["kind", "model", "said", "truth"].map((name) => [name, byId(name)]).filter(([, one]) => one);
  const confusions = [...document.querySelectorAll(".confusions button")];
  const main = document.querySelector("main");
  const list = document.querySelector(".confusions");
  if (matchMedia("(max-width: 40rem)").matches) list.open = false; // on a phone the mistakes come first

  function value(item, name) {
    const text = item.dataset[name];
    return text === "" ? -Infinity : Number(text);
  }

  const orders = {
    confidence: (a, b) => value(b, "confidence") - value(a, "confidence"),
    evidence: (a, b) => value(b, "evidence") - value(a, "evidence"),
    "-evidence": (a, b) => value(a, "evidence") - value(b, "evidence"),
    truth: (a, b) => value(b, "ofTruth") - value(a, "ofTruth"),
    file: (a, b) => a.dataset.file.localeCompare(b.dataset.file, "en", { numeric: true }),
  };

  function arrange() {
    const order = orders[sort.value], places = new Map(items.map((item, at) => [item, at]));
    const sorted = [...items].sort((a, b) => order(a, b) || places.get(a) - places.get(b));
    main.append(...sorted); // with equal infinities their difference is no number, and they stay as they were
  }

  function choose() {
    let left = 0;
    for (const item of items) {
      item.hidden = filters.some(([name, one]) => one.value && item.dataset[name] !== one.value);
      left += item.hidden ? 0 : 1;
    }
    byId("left").textContent = left === items.length ? `${left} mistakes` : `${left} of ${items.length} mistakes`;
    for (const button of confusions) {
      const same = filters.every(([name, one]) => name === "model" || one.value === button.dataset[name]);
      button.setAttribute("aria-pressed", String(same));
    }
  }

  function set(values) {
    for (const [name, one] of filters) one.value = values[name] || "";
    choose();
  }

  for (const [, one] of filters) one.addEventListener("change", choose);
  for (const button of confusions) {
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      set(button.getAttribute("aria-pressed") === "true" ? {} : button.dataset);
    });
  }
  sort.addEventListener("change", arrange);
  if (method) method.addEventListener("change", () => near.forEach(draw));
  byId("reset").addEventListener("click", () => {
    set({});
    sort.value = "confidence";
    arrange();
  });
  choose(); // a browser that comes back to a page keeps what was chosen
  arrange();
})();
