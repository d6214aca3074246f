// What pages can do without, and are nicer with.
"use strict";
for (const toggle of document.querySelectorAll("button.toggle")) {
  const input = document.getElementById(toggle.getAttribute("aria-controls"));
  toggle.hidden = false;
  const set = (shown) => {
    input.type = shown ? "text" : "password";
    toggle.textContent = shown ? toggle.dataset.hide : toggle.dataset.show;
    toggle.setAttribute("aria-label", shown ? toggle.dataset.hideLabel : toggle.dataset.showLabel);
  };
  toggle.addEventListener("click", () => set(input.type === "password"));
  // A password manager saves what was typed as a password.
  input.form.addEventListener("submit", () => set(false));
}
// A second press would be a second attempt.
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "true";
  });
}
// A page that comes out of the back-forward cache can be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form")) delete form.dataset.sent;
});
