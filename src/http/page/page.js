
"use strict";
// Keeps the page fresh: asks for it again and puts in the parts that have changed, so that pictures that stay do not
// flicker.
async function look() {
  try {
    const answer = await fetch("/");
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["now", "pictures"]) {
      const [old, now] = [document.getElementById(id), fresh.getElementById(id)];
      if (old.innerHTML !== now.innerHTML) old.replaceWith(now);
    }
    document.title = fresh.title;
    document.body.classList.remove("is-lost");
  } catch {
    document.body.classList.add("is-lost");
  }
}
async function keepLooking() {
  if (!document.hidden) await look();
  setTimeout(keepLooking, 2000);
}
setTimeout(keepLooking, 2000);
