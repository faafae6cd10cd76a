// A file that is chosen goes into the text field, where it can be looked at.
// The response of an import is a file to save: the page stays, and says so.
"use strict";

(() => {
  const field = document.getElementById("f-file");
  const table = document.getElementById("f-table");
  field.closest(".field").hidden = false;
  table.form.addEventListener("submit", ({ submitter }) => {
    const saving = document.getElementById("saving");
    if (submitter?.value !== "import" || !saving) return;
    saving.hidden = false;
    // Not before it was sent, as a disabled button is not part of its form.
    setTimeout(() => { submitter.disabled = true; });
  });
  field.addEventListener("change", async () => {
    const [file] = field.files;
    if (!file) return;
    const bytes = new Uint8Array(await file.arrayBuffer());
    // Spreadsheets save UTF-16 with its mark in front.
    const mark = bytes[0] * 256 + bytes[1];
    const encoding = mark === 0xfffe ? "utf-16le" : mark === 0xfeff ? "utf-16be" : "utf-8";
    table.value = new TextDecoder(encoding).decode(bytes);
  });
})();
