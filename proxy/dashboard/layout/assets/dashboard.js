// What all pages have: keys, the theme, times in the reader's zone.
"use strict";

class LocalTime extends HTMLElement {
  static observedAttributes = ["datetime", "with-date"];
  attributeChangedCallback() {
    const time = new Date(this.getAttribute("datetime"));
    if (Number.isNaN(time.getTime())) return;
    const today = new Date().toDateString() === time.toDateString();
    const options = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
    if (!today || this.hasAttribute("with-date")) Object.assign(options, { year: "numeric", month: "short", day: "numeric" });
    this.textContent = time.toLocaleString("en-GB", options);
    this.title = time.toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
  }
}
customElements.define("local-time", LocalTime);

function toggleTheme() {
  const dark = !document.body.classList.contains("body--dark");
  document.cookie = `llamaserve_theme=${dark ? "dark" : "light"}; path=/; max-age=31536000; samesite=strict`;
  window.Quasar.Dark.set(dark);
}

document.addEventListener("click", (event) => {
  if (event.target.closest?.("#theme")) toggleTheme();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable]")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "/") {
    const field = document.querySelector("input[data-search], [data-search] input, textarea[data-search]");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  } else if (event.key === "?") {
    document.getElementById("keys")?.click();
  } else if (event.key === "t") {
    toggleTheme();
  } else if (/^[1-9]$/.test(event.key) && !document.querySelector(".q-dialog")) {
    // A dialog may show a key this once.
    document.querySelector(`a[data-key="${event.key}"]`)?.click();
  }
});
