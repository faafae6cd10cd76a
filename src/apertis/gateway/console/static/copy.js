// Buttons that copy what they name, and pages that are the answer of a form.
"use strict";

(() => {
  const copied = (button) => {
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 2000);
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    const source = document.getElementById(button.dataset.copy);
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(source.textContent);
      } catch {
        // Without TLS there is no clipboard: what is selected can be copied by hand.
        getSelection().selectAllChildren(source);
        if (!document.execCommand("copy")) return;
      }
      copied(button);
    });
  }
  // Loading it again must not send the form again, which would make another key.
  const instead = document.querySelector("[data-address]");
  if (instead) history.replaceState(null, "", instead.dataset.address);
})();
