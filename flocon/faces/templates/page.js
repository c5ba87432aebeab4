// Fetches the page anew while it is looked at, and moves over only what changed, so that a
// selection or the place on the page stays. Nodes are copied as nodes: no text becomes markup.
"use strict";

const EVERY = 2000;
const LIVE = ["node", "health", "summary", "moving", "mirror", "builds", "own", "savings", "peers", "others", "transactions", "recent"];
const parser = new DOMParser();
let timer;

function move(old, now) {
  if (old.isEqualNode(now)) return;
  if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName) {
    old.replaceWith(document.importNode(now, true));
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = now.nodeValue;
    return;
  }
  for (const name of old.getAttributeNames()) {
    if (!now.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const name of now.getAttributeNames()) {
    const value = now.getAttribute(name);
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const wanted = [...now.childNodes];
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
  wanted.forEach((child, at) => {
    if (at < old.childNodes.length) move(old.childNodes[at], child);
    else old.append(document.importNode(child, true));
  });
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const answer = await fetch("/", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    const now = parser.parseFromString(await answer.text(), "text/html");
    for (const id of LIVE) move(document.getElementById(id), now.getElementById(id));
  } catch {
    document.getElementById("stale").hidden = false;
  }
  clearTimeout(timer);
  timer = setTimeout(look, EVERY);
}

document.addEventListener("visibilitychange", look);
timer = setTimeout(look, EVERY);
