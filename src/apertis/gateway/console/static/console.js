// What pages do beyond HTML. Each part only adds to what works without it.
"use strict";

(() => {
  // Times are shown in the time zone of the browser until another one is chosen.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes("apertis_zone=")) {
    document.cookie = `apertis_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
  }

  document.addEventListener("focusin", ({ target }) => {
    const list = target.id === "f-zone" && document.getElementById("zones");
    if (list && !list.childElementCount && Intl.supportedValuesOf) {
      list.append(...["UTC", ...Intl.supportedValuesOf("timeZone")].map((name) => new Option(name, name)));
    }
  });

  // What htmx sends carries the token that forms have in a field.
  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    const token = document.querySelector("input[name=form_token]");
    if (token) ctx.request.headers["X-Form-Token"] = token.value;
  });

  // A page that could not be refreshed stays as it is, and says so.
  const trouble = (words) => {
    const line = document.getElementById("trouble");
    if (line) {
      line.textContent = words;
      line.hidden = !words;
    }
  };
  document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
    const { status } = ctx.response;
    if (status >= 500) trouble(`The gateway answered with status ${status}. What you see may be old.`);
  });
  document.addEventListener("htmx:error", ({ detail: { error } }) => {
    trouble(`The gateway cannot be reached. What you see is old. (${error?.message || "no connection"})`);
  });
  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    if (ctx?.response?.status < 400) trouble("");
    equip();
  });

  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    const words = button.dataset.words ||= button.textContent;
    try {
      await navigator.clipboard.writeText("value" in source ? source.value : source.textContent);
      button.textContent = "Copied";
    } catch {
      // Only pages over HTTPS and on this machine may write to the clipboard.
      getSelection().selectAllChildren(source);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = words; }, 2000);
  });

  // Controls that only work with this script are hidden until it is there.
  const equip = () => {
    for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
  };
  equip();

  // Signing out takes along what the chat keeps in this browser.
  let isCleared = false;
  document.addEventListener("submit", (event) => {
    const { target: form, submitter } = event;
    if (isCleared || !window.indexedDB || !form.getAttribute("action")?.startsWith("/console/sign-out")) return;
    event.preventDefault();
    const goOn = () => {
      if (isCleared) return;
      isCleared = true;
      form.requestSubmit(submitter);
    };
    const removal = indexedDB.deleteDatabase("apertis-chat");
    removal.onsuccess = removal.onerror = goOn;
    setTimeout(goOn, 1000);
  });
})();
