// What pages do beyond HTML: the viewer's time zone, and the token of forms for htmx.
"use strict";

(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes("apertis_zone=")) {
    document.cookie = `apertis_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
  }
})();
