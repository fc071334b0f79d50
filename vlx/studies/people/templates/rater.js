"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const key = `study ${data.study} ${data.rater}`;
  const online = location.protocol.startsWith("http");
  let answers = {}; // by code: {answer, n, ms}
  let count = 0; // runs on with every answer, also one that is changed
  let saved = 0; // the count up to which the server has them
  let agreed = false;
  let place = 0;
  let since = 0;
  let sending = false;
  let server = online;
  let trouble = "";
  let kept = true;

  const merge = (found) => {
    for (const one of found) {
      const mine = answers[one.question];
      if (data.questions.some((q) => q.code === one.question) && (!mine || mine.n < one.n)) {
        answers[one.question] = { answer: one.answer, n: one.n, ms: one.ms };
      }
      if (one.n > count) count = one.n;
    }
  };
  const load = () => {
    try {
      const text = localStorage.getItem(key);
      if (text) {
        const found = JSON.parse(text);
        merge(found.lines || []);
        saved = found.saved || 0;
        agreed = Boolean(found.agreed);
      }
      localStorage.setItem(`${key} test`, "1");
      localStorage.removeItem(`${key} test`);
    } catch (error) {
      kept = false;
    }
    at("forgets").hidden = kept || online;
  };
  const lines = () =>
    Object.keys(answers)
      .map((code) => ({ study: data.study, rater: data.rater, question: code, ...answers[code] }))
      .sort((one, other) => one.n - other.n);
  const keep = () => {
    try {
      localStorage.setItem(key, JSON.stringify({ lines: lines(), saved, agreed }));
    } catch (error) {
      kept = false;
    }
  };

  const address = () => `${location.pathname.replace(/\/+$/, "")}/answers`;
  const say = () => {
    const waiting = lines().filter((one) => one.n > saved).length;
    let text = "";
    if (server && trouble) text = `Not saved yet (${trouble}): this page keeps trying.`;
    else if (server && waiting) text = "Saving …";
    else if (server && count) text = "Your answers are saved.";
    else if (count && kept) text = "Your answers are kept in this browser.";
    at("state").textContent = text;
    at("how").textContent =
      server && !waiting
        ? "All your answers are saved. You can close this page."
        : "Please download your answers and send the file to whoever invited you.";
    at("download").classList.toggle("main", !(server && !waiting));
  };
  const send = async () => {
    if (!server || sending) return;
    const waiting = lines().filter((one) => one.n > saved).slice(0, 100);
    if (!waiting.length) return say();
    sending = true;
    say();
    try {
      const reply = await fetch(address(), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(waiting),
      });
      if ([404, 405, 501].includes(reply.status)) server = false; // a server that only shows pages
      else if (!reply.ok) throw new Error(`the server says ${reply.status}`);
      else {
        saved = Math.max(saved, waiting[waiting.length - 1].n);
        trouble = "";
        keep();
      }
    } catch (error) {
      trouble = error.message || "no connection";
      setTimeout(send, 5000);
    }
    sending = false;
    say();
    if (server && !trouble && lines().some((one) => one.n > saved)) send();
  };
  const fetchSaved = async () => {
    if (!server) return;
    try {
      const reply = await fetch(address());
      if (reply.ok) {
        const found = await reply.json();
        merge(found);
        if (found.length) agreed = true;
        // What this browser has and the server lacks is sent again.
        const has = new Map(found.map((one) => [one.question, one.n]));
        const lost = lines().filter((one) => (has.get(one.question) || 0) < one.n);
        saved = lost.length ? lost[0].n - 1 : count;
        keep();
      } else if ([404, 405, 501].includes(reply.status)) server = false;
    } catch (error) {
      trouble = "no connection";
    }
  };

  const only = (id) => {
    for (const one of ["intro", "task", "end"]) at(one).hidden = one !== id;
  };
  const firstOpen = () => {
    const found = data.questions.findIndex((one) => !answers[one.code]);
    return found < 0 ? data.questions.length : found;
  };
  const picture = (source, name, caption) => {
    const figure = document.createElement("figure");
    if (caption) {
      const title = document.createElement("figcaption");
      title.textContent = caption;
      figure.append(title);
    }
    const image = document.createElement("img");
    image.src = source;
    image.alt = name;
    figure.append(image);
    return figure;
  };
  const button = (number, value, text, chosen) => {
    const made = document.createElement("button");
    made.type = "button";
    const digit = document.createElement("kbd");
    digit.textContent = number;
    digit.setAttribute("aria-hidden", "true");
    const words = document.createElement("span");
    words.textContent = text;
    made.append(digit, words);
    made.setAttribute("aria-pressed", String(chosen));
    made.addEventListener("click", () => choose(value));
    return made;
  };
  const show = () => {
    if (place >= data.questions.length) {
      only("end");
      at("thanks").focus();
      say();
      return;
    }
    only("task");
    const one = data.questions[place];
    at("count").textContent = `${place + 1} of ${data.questions.length}`;
    at("done-so-far").max = data.questions.length;
    at("done-so-far").value = place;
    at("back").disabled = place === 0;
    const mine = answers[one.code];
    const two = one.pictures.length === 2;
    at("asked").textContent = two
      ? `Both robots said: “${one.options[0]}”. Which of them is more reliable?`
      : "Which of the two objects is shown?";
    at("pictures").className = two ? "two" : "one";
    at("pictures").replaceChildren(
      ...one.pictures.map((source, number) =>
        two
          ? picture(source, `What robot ${"AB"[number]} went by`, `Robot ${"AB"[number]}`)
          : picture(source, "The picture that the question is about", ""),
      ),
    );
    const texts = two ? data.scale : one.options;
    at("answers").className = two ? "five" : "";
    at("answers").replaceChildren(
      ...texts.map((text, number) =>
        button(number + 1, data.values[number], text, Boolean(mine) && mine.answer === data.values[number]),
      ),
    );
    at("asked").focus({ preventScroll: true });
    window.scrollTo(0, 0);
    since = performance.now();
    say();
  };
  const choose = (value) => {
    const one = data.questions[place];
    count += 1;
    answers[one.code] = { answer: value, n: count, ms: Math.round(performance.now() - since) };
    keep();
    place += 1;
    send();
    show();
  };
  const download = () => {
    const text = lines().map((one) => `${JSON.stringify(one)}\n`).join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }));
    link.download = `answers-${data.rater}.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const back = () => {
    if (place > 0) {
      place -= 1;
      show();
    }
  };

  at("begin").addEventListener("click", () => {
    agreed = true;
    keep();
    place = firstOpen();
    show();
  });
  at("back").addEventListener("click", back);
  at("again").addEventListener("click", back);
  at("download").addEventListener("click", download);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || at("task").hidden) return;
    const buttons = [...at("answers").children];
    const number = Number(event.key);
    if (event.key.trim() && number >= 1 && number <= buttons.length) {
      event.preventDefault();
      buttons[number - 1].click();
    } else if (event.key.startsWith("Arrow")) {
      const step = ["ArrowRight", "ArrowDown"].includes(event.key) ? 1 : -1;
      const now = buttons.indexOf(document.activeElement);
      const next = now < 0 ? (step > 0 ? 0 : buttons.length - 1) : now + step;
      event.preventDefault();
      buttons[Math.min(Math.max(next, 0), buttons.length - 1)].focus();
    } else if (event.key === "Backspace") {
      event.preventDefault();
      back();
    }
  });

  const start = async () => {
    load();
    await fetchSaved();
    if (agreed) {
      place = firstOpen();
      show();
    } else {
      only("intro");
    }
    say();
    send();
  };
  start();
})();
