// A form is sent once: a second click would show the answer to a second request, and lose the first.
"use strict";

function setButtons(disabled) {
  for (const button of document.querySelectorAll("form button")) button.disabled = disabled;
}

document.addEventListener("submit", () => setButtons(true));
// Whoever comes back to the page may send it again.
window.addEventListener("pageshow", () => setButtons(false));
