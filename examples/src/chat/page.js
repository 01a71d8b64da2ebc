"use strict";

// The page of one room on one instance. Events come in through an EventSource, messages go out
// through fetch. What people write is put into the page as text, never as HTML.

const { room, instance } = document.body.dataset;
const $ = (id) => document.getElementById(id);

// The page keeps this many rows; the oldest go first.
const MOST_ROWS = 500;

// ids of the messages sent from this page, and of those that stayed on this instance. The answer
// to a post and the message itself arrive in either order.
const own = new Set();
const onlyHere = new Set();

// Whether messages reach this page. Not if it was opened while the instance was cut off.
let live = false;
// Whether there was a connection before: what comes after the next one has a hole before it.
let connectedBefore = false;

/* ---- rows ------------------------------------------------------------------------------- */

function element(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// The newest row stays in sight, until somebody scrolls up to read: also when a row grows, or when
// a notice takes some of the room.
let following = true;
let lastTop = 0;
function follow() {
  if (following) $("log").scrollTop = $("log").scrollHeight;
}
$("log").addEventListener("scroll", () => {
  const { scrollHeight, scrollTop, clientHeight } = $("log");
  if (scrollHeight - scrollTop - clientHeight < 80) following = true;
  else if (scrollTop < lastTop) following = false;
  lastTop = scrollTop;
});
const sizes = new ResizeObserver(follow);
sizes.observe($("log"));
sizes.observe($("messages"));

function append(row) {
  $("empty").hidden = true;
  $("messages").append(row);
  while ($("messages").childElementCount > MOST_ROWS) $("messages").firstElementChild.remove();
  if (row.classList.contains("own")) following = true;
  follow();
}

function rowOf(id) {
  return document.querySelector(`#messages > [data-id="${CSS.escape(id)}"]`);
}

// An instance of another process has no link here. Its colour comes from its name, and is none of
// those that have one.
function hueOf(name) {
  const links = [...document.querySelectorAll("nav .instance")];
  const link = links.find((a) => a.dataset.name === name);
  if (link) return link.dataset.hue;
  let sum = 0;
  for (const character of name) sum = (31 * sum + character.codePointAt(0)) % 1009;
  return String(Math.min(links.length, 15) + (sum % Math.max(16 - links.length, 1)));
}

function showMessage(message) {
  if (rowOf(message.id)) return;
  const row = element("li", "message");
  row.dataset.id = message.id;

  const head = element("p", "head");
  const time = element("time", "time", new Date(message.time).toLocaleTimeString([], { timeStyle: "short" }));
  time.dateTime = new Date(message.time).toISOString();
  const from = element("span", "instance", message.instance);
  from.dataset.hue = hueOf(message.instance);
  head.append(element("strong", "who", message.name), " ", from, " ", time);

  row.append(head, element("p", "body", message.text));
  mark(row);
  append(row);
}

function mark(row) {
  row.classList.toggle("own", own.has(row.dataset.id));
  if (onlyHere.has(row.dataset.id) && !row.querySelector(".only-here")) {
    row.append(element("p", "only-here", "only this instance has it"));
  }
}

function showGap(text, why) {
  const row = element("li", "gap");
  row.append(element("span", "gap-text", text), " ", element("span", "gap-why", why));
  append(row);
}

/* ---- events in -------------------------------------------------------------------------- */

function showHealth(state, text) {
  $("health").dataset.state = state;
  $("health").textContent = text;
}

function notice(text) {
  $("notice").hidden = !text;
  $("notice").textContent = text;
}

function showStatus(status) {
  live = status.live;
  showHealth(status.healthy ? "healthy" : "cut-off", status.healthy ? "healthy" : "cut off");
  $("readers").textContent =
    status.readers === 1 ? "1 reader on this instance" : `${status.readers} readers on this instance`;
  enable(status.healthy, !status.healthy);
  if (status.healthy && live) notice("");
  else if (status.healthy) notice(`This page gets no messages yet: ${instance} tries to subscribe …`);
  else if (live) notice(`${instance} is cut off from the other instances. What you send now stays here, and what they send now will be missing here.`);
  else notice(`${instance} is cut off from the other instances. This page was opened meanwhile: it shows messages as soon as ${instance} is back.`);
}

// The two buttons, where the page has them.
function enable(partition, heal) {
  if ($("partition")) $("partition").disabled = !partition;
  if ($("heal")) $("heal").disabled = !heal;
}

function lost(text) {
  live = false;
  showHealth("lost", "no connection");
  $("readers").textContent = "";
  enable(false, false);
  notice(text);
}

const WHY = {
  reconnected: "this instance was cut off",
  lagged: "they came faster than they were read",
};

function connect() {
  const source = new EventSource(`/rooms/${room}/events`);
  const on = (name, handle) => source.addEventListener(name, (event) => handle(JSON.parse(event.data)));

  on("message", showMessage);
  on("gap", (gap) => showGap(gap.text, WHY[gap.cause] ?? ""));
  on("status", showStatus);
  on("bye", () => lost("The service has shut down. Trying again …"));

  source.addEventListener("open", () => {
    if (connectedBefore) showGap("messages may be missing here", "the connection to the server was lost");
    connectedBefore = true;
  });
  source.addEventListener("error", () => {
    if ($("health").dataset.state !== "lost") lost("Connection to the server lost, trying again …");
    // The browser tries again by itself, except after an answer that is no event stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
  });
}

/* ---- messages out ----------------------------------------------------------------------- */

async function post(path, body) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Refused(answer.error);
  return answer;
}

class Refused extends Error {}

function showError(error) {
  $("error").textContent = error instanceof Refused
    ? `Not sent: ${error.message}.`
    : "Not sent: the server does not answer. What you wrote is still here.";
}

async function send() {
  const text = $("text").value;
  const name = $("name").value.trim() || undefined;
  $("send").disabled = true;
  try {
    const { delivered, message } = await post(`/rooms/${room}/messages`, { name, text });
    $("error").textContent = "";
    // Somebody may have typed on while the message was on its way.
    if ($("text").value === text) $("text").value = "";

    own.add(message.id);
    if (delivered !== "everywhere") onlyHere.add(message.id);
    const row = rowOf(message.id);
    if (row) mark(row);
    // It comes through the event stream like everybody's. Without one, it is shown at once.
    else if (!live) showMessage(message);
  } catch (error) {
    showError(error);
  } finally {
    $("send").disabled = false;
  }
}

/* ---- the form --------------------------------------------------------------------------- */

$("post").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!$("send").disabled) send();
  $("text").focus();
});

$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("post").requestSubmit();
});

// The name is still there after a reload, unless the browser keeps nothing at all.
try {
  $("name").value = localStorage.getItem("name") ?? "";
  $("name").addEventListener("change", () => localStorage.setItem("name", $("name").value.trim()));
} catch { /* then not */ }

for (const action of ["partition", "heal"]) {
  $(action)?.addEventListener("click", () => post(`/${action}`).catch(showError));
}

$("go").addEventListener("submit", (event) => {
  event.preventDefault();
  location.href = `/rooms/${encodeURIComponent($("other-room").value)}`;
});

connect();
$("text").focus();
