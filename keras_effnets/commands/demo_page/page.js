"use strict";

const part = (id) => document.getElementById(id);
const state = { file: null, limit: Infinity, turn: 0, engines: {} };

// Only the latest image, network or class is shown: answers to earlier requests are dropped.
const newTurn = () => ++state.turn;
const isOver = (turn) => turn !== state.turn;

function say(message, wrong = false) {
  part("status").textContent = message;
  part("status").classList.toggle("wrong", wrong);
}

async function ask(path, options) {
  const response = await fetch(path, options);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Error(answer.error || `the server answered ${response.status}`);
  }
  return answer;
}

const post = (path, values) =>
  ask(`${path}?${new URLSearchParams(values)}`, { method: "POST", body: state.file });

async function start() {
  const { models, max_bytes: limit } = await ask("api/models");
  state.limit = limit;
  for (const { name, side, classes, engine } of models) {
    state.engines[name] = engine;
    const text = `${name} (${side} × ${side}, ${classes.toLocaleString("en")} classes)`;
    part("model").add(new Option(text, name));
  }
}

async function look() {
  if (!state.file) return;
  const turn = newTurn();
  const name = state.file.name;
  part("result").classList.add("busy");
  say(`Looking at ${name} …`);
  try {
    if (state.file.size > state.limit) {
      throw new Error(`the file exceeds ${state.limit / 2 ** 20} MiB`);
    }
    const model = part("model").value;
    const answer = await post("api/predict", { model });
    if (isOver(turn)) return;
    show(answer, state.engines[model]);
    say(name);
    await showHeat(answer.predictions[0], turn);
  } catch (error) {
    if (isOver(turn)) return;
    part("result").hidden = true;
    say(`${name}: ${error.message}`, true);
  } finally {
    if (!isOver(turn)) part("result").classList.remove("busy");
  }
}

function show({ predictions, picture, milliseconds }, engine) {
  part("picture").src = picture;
  part("heat").removeAttribute("src");
  part("heat-caption").textContent = "";
  part("time").textContent = `${milliseconds.toFixed(1)} ms for the network, by ${engine}`;
  part("classes").replaceChildren(...predictions.map(row));
  part("result").hidden = false;
}

function row(prediction) {
  const { name, score } = prediction;
  const line = document.createElement("span");
  line.className = "line";
  for (const text of [name, `${(100 * score).toFixed(1)} %`]) {
    line.append(Object.assign(document.createElement("span"), { textContent: text }));
  }
  const bar = Object.assign(document.createElement("meter"), { min: 0, max: 1, value: score });
  bar.textContent = `${(100 * score).toFixed(1)} %`;
  const button = document.createElement("button");
  button.type = "button";
  button.title = "Show where the network sees this";
  button.dataset.index = prediction.index;
  button.append(line, bar);
  button.addEventListener("click", () => lookFor(prediction));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

async function lookFor(prediction) {
  const turn = newTurn();
  try {
    await showHeat(prediction, turn);
  } catch (error) {
    if (!isOver(turn)) say(`${state.file.name}: ${error.message}`, true);
  }
}

async function showHeat({ name, index }, turn) {
  for (const button of part("classes").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.index === String(index)));
  }
  const values = { model: part("model").value, class_index: index };
  const { picture, milliseconds } = await post("api/heat", values);
  if (isOver(turn)) return;
  part("heat").src = picture;
  part("heat-caption").textContent =
    `where it sees “${name}” (Grad-CAM, ${milliseconds.toFixed(0)} ms)`;
}

function choose(files) {
  if (!files.length) return;
  state.file = files[0];
  look();
}

part("file").addEventListener("change", (event) => choose(event.target.files));
part("model").addEventListener("change", look);
for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    part("drop").classList.toggle("over", type === "dragover");
    if (type === "drop") choose(event.dataTransfer.files);
  });
}
start().catch((error) => say(error.message, true));
