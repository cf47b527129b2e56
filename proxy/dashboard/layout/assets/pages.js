// Copies texts, and sends a message with Enter.
"use strict";

async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  // Browsers have no clipboard for pages without TLS.
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  area.style.opacity = "0";
  (document.querySelector(".q-dialog") || document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  await copyText(button.closest(".copyable").querySelector(".copied").textContent);
  const icon = button.querySelector(".q-icon");
  if (!icon) return;
  icon.textContent = "check";
  setTimeout(() => (icon.textContent = "content_copy"), 1500);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || !event.target.matches?.("[data-sends]")) return;
  event.preventDefault();
  document.querySelector("[data-send]")?.click();
});
