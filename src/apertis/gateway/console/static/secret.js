// A page that is the answer to a form: loading it again must not send the form again, which would
// make another key or another secret.
"use strict";

(() => {
  const instead = document.querySelector("[data-address]");
  if (instead) history.replaceState(null, "", instead.dataset.address);
})();
