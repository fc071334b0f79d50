"use strict";
// How maps and their colour bars are drawn; every page that shows maps carries this before its own script.
const vlxMaps = (() => {
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const ramps = JSON.parse(document.getElementById("ramps").textContent);
  const tables = { plain: bytes(ramps.plain), signed: bytes(ramps.signed) };
  const number = (value) => String(Number(value.toPrecision(3))).replace("-", "\u2212");

  // For each pixel along one axis: the two cells around its centre and the share of the second one.
  // Outside the part that the model saw there is no cell.
  function between(value, line) { // the position of a value among rising ones
    const above = line.findIndex((one) => one >= value);
    if (above < 0) return line.length - 1;
    return above && above - 1 + (value - line[above - 1]) / (line[above] - line[above - 1]);
  }

  function axis(length, first, last, cells, centres) {
    return Array.from({ length }, (_, pixel) => {
      const at = (pixel + 0.5) / length;
      if (at <= first || at >= last) return null;
      const share = (at - first) / (last - first);
      const place = centres ? between(share, centres) : Math.min(Math.max(share * cells - 0.5, 0), cells - 1);
      const below = Math.floor(place);
      return [below, Math.min(below + 1, cells - 1), place - below];
    });
  }

  // How often a map fits into the scale it is drawn on; stretched, it reaches that scale's end.
  const room = (map, stretched) => (stretched && map.peak > 0 ? map.peak : 1);

  function drawGrid(canvas, view, map, stretched) {
    const [top, left, bottom, right] = view.box;
    const grid = new Uint16Array(bytes(map.grid).buffer);
    const colours = map.signed ? tables.signed : tables.plain;
    const middle = map.signed ? 0.5 : 0, most = room(map, stretched);
    const down = axis(canvas.height, top, bottom, view.rows, view.down);
    const across = axis(canvas.width, left, right, view.cols, view.across);
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    down.forEach((row, y) => across.forEach((col, x) => {
      if (!row || !col) return;
      const [r0, r1, v] = row, [c0, c1, u] = col;
      const upper = grid[r0 * view.cols + c0] * (1 - u) + grid[r0 * view.cols + c1] * u;
      const lower = grid[r1 * view.cols + c0] * (1 - u) + grid[r1 * view.cols + c1] * u;
      const value = middle + ((upper * (1 - v) + lower * v) / 65535 - middle) / most;
      const colour = Math.round(Math.min(Math.max(value, 0), 1) * 255) * 4;
      image.data.set(colours.subarray(colour, colour + 4), (y * canvas.width + x) * 4);
    }));
    context.putImageData(image, 0, 0);
  }

  function drawGradient(canvas, view, map) {
    const [top, left, bottom, right] = view.box;
    const context = canvas.getContext("2d");
    const picture = new Image();
    const ticket = (canvas.ticket = {});
    picture.onload = () => {
      if (canvas.ticket !== ticket) return; // another word was chosen meanwhile
      const { width, height } = canvas;
      context.fillStyle = `rgb(${map.zero} ${map.zero} ${map.zero})`;
      context.fillRect(0, 0, width, height);
      context.drawImage(picture, left * width, top * height, (right - left) * width, (bottom - top) * height);
    };
    picture.src = "data:image/jpeg;base64," + map.jpeg;
  }

  // The ramp as it looks over a mid-grey photo.
  function drawBar(bar, signed) {
    const context = bar.getContext("2d");
    const colours = signed ? tables.signed : tables.plain;
    for (let i = 0; i < 256; i++) {
      const [r, g, b, a] = colours.subarray(i * 4, i * 4 + 4);
      context.fillStyle = "rgb(128 128 128)";
      context.fillRect(i, 0, 1, 1);
      context.fillStyle = `rgb(${r} ${g} ${b} / ${a / 255})`;
      context.fillRect(i, 0, 1, 1);
    }
  }

  return { number, room, drawGrid, drawGradient, drawBar };
})();
