// The chat. It asks /console/chat/messages, which is the Messages API for whoever is signed in, and
// keeps conversations in this browser (IndexedDB). What models and files say becomes text, never HTML.
"use strict";

(() => {
  const { make, link, nodes } = window.Markdown;
  const element = (id) => document.getElementById(id);
  const root = element("chat");
  const [options, turns, status, form, text] =
    ["chat-options", "chat-turns", "chat-status", "chat-ask", "f-text"].map(element);

  const MESSAGES = "/console/chat/messages";
  const MEGABYTE = 2 ** 20;
  const MAX_IMAGE_BYTES = 20 * MEGABYTE;
  const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
  const TEXTS = /^text\/|^application\/(json|xml|toml|yaml|x-yaml|sql|javascript)$/;
  const TEXT_NAMES = /\.(md|csv|tsv|json|toml|ya?ml|py|js|ts|tsx|jsx|sql|sh|rs|go|java|c|h|cpp|css|html?|xml|log|txt)$/i;
  const UNITS_PER_DOLLAR = 500_000;
  const MIN_BUDGET = 1024;
  const FULL_STOPS = {
    max_tokens: "Ended at the limit of max tokens.",
    model_context_window_exceeded: "Ended at the end of the model's context window.",
    refusal: "The model declined to answer.",
    pause_turn: "Paused by the model.",
    tool_use: "Waits for the results of its tools.",
  };

  const button = (words, work, name = "") => {
    const made = make("button", name, words);
    made.type = "button";
    made.addEventListener("click", work);
    return made;
  };
  const folded = (words, name, ...children) =>
    make("details", name, make("summary", "", words), ...children);
  const megabytes = (bytes) =>
    bytes < MEGABYTE / 10 ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / MEGABYTE).toFixed(1)} MB`;
  // Units are integers: this is exact.
  const dollars = (units) => {
    const [whole, part] = ((units * 2) / (UNITS_PER_DOLLAR * 2)).toFixed(6).split(".");
    return `$${whole}.${part.replace(/0{1,4}$/, "")}`;
  };

  // --- Conversations, in this browser alone. Without IndexedDB they last as long as the page.

  const NAME = "apertis-chat";
  const TABLE = "conversations";
  let database = null;

  const openDatabase = () => new Promise((resolve) => {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(TABLE, { keyPath: "id" });
    opening.onerror = () => resolve(null);
    opening.onsuccess = () => {
      // A sign-out in another window removes it.
      opening.result.onversionchange = () => {
        database?.close();
        database = null;
      };
      resolve(opening.result);
    };
  });

  const inDatabase = (mode, work) => new Promise((resolve) => {
    if (!database) {
      resolve(null);
      return;
    }
    try {
      const transaction = database.transaction(TABLE, mode);
      const asked = work(transaction.objectStore(TABLE));
      transaction.oncomplete = () => resolve(asked?.result ?? null);
      transaction.onabort = () => {
        resolve(null);
        problem("This browser could not keep the conversation: its space is used up.");
      };
    } catch {
      resolve(null);
    }
  });

  let talks = [];
  let talk = null;
  let models = [];
  // What is to be sent besides the text: {block, name, bytes}.
  let files = [];
  // The answer that is under way: {turn, abort}.
  let running = null;

  const settings = () => Object.fromEntries(
    ["model", "system", "max_tokens", "thinking", "budget", "tools"]
      .map((name) => [name, options.elements[name].value]));

  const fresh = () => ({
    id: crypto.getRandomValues(new Uint32Array(4)).join("-"),
    owner: root.dataset.owner,
    title: "",
    updated: Date.now(),
    settings: settings(),
    turns: [],
  });

  const keep = (one) => {
    if (!one.turns.length) return null;
    if (!talks.includes(one)) talks.unshift(one);
    one.updated = Date.now();
    return inDatabase("readwrite", (table) => table.put(one));
  };

  const titleOf = (turn) => {
    const said = turn.content.find((block) => block.type === "text")?.text ?? turn.names?.[0] ?? "";
    const line = said.trim().split("\n")[0];
    return line.length > 60 ? `${line.slice(0, 60).trimEnd()}…` : line || "Conversation";
  };

  const drawList = () => {
    talks.sort((one, other) => other.updated - one.updated);
    element("chat-list").replaceChildren(...talks.map((one) => {
      const chosen = button(one.title || "Conversation", () => choose(one), "quiet");
      if (one === talk) chosen.setAttribute("aria-current", "true");
      const remove = button("×", () => forget(one), "quiet");
      remove.setAttribute("aria-label", `Delete: ${one.title}`);
      return make("li", "", chosen, remove);
    }));
    const units = talk.turns.reduce((sum, turn) => sum + (turn.units ?? 0), 0);
    element("chat-total").textContent = units ? `This conversation cost ${dollars(units)}` : "";
  };

  const choose = (one) => {
    if (running) stop();
    talk = one;
    for (const [name, value] of Object.entries(one.settings)) {
      const field = options.elements[name];
      if (name === "model" && ![...field.options].some((option) => option.value === value)) continue;
      field.value = value;
    }
    follow();
    problem("");
    drawTurns();
    drawList();
    text.focus();
  };

  const forget = async (one) => {
    talks = talks.filter((other) => other !== one);
    await inDatabase("readwrite", (table) => table.delete(one.id));
    if (one === talk) choose(fresh());
    else drawList();
  };

  // --- What the page says besides the conversation.

  const say = (words) => { status.textContent = words; };
  const problem = (words) => {
    const line = element("chat-problem");
    line.textContent = words;
    line.hidden = !words;
  };

  // --- Models and settings.

  const loadModels = async () => {
    try {
      const response = await fetch("/console/chat/models?limit=1000");
      const body = await response.json();
      if (!response.ok) throw new Error(wordsOf(response, body));
      models = body.data;
    } catch (error) {
      problem(`The list of models cannot be had: ${error.message}`);
      return;
    }
    if (!models.length) problem("There is no model that you may use.");
    options.elements.model.replaceChildren(...models.map(({ id, display_name: shown, lifecycle }) => {
      const old = lifecycle && lifecycle !== "active" ? `, ${lifecycle}` : "";
      return new Option(shown && shown !== id ? `${shown} (${id}${old})` : id + old.replace(/^, (.*)$/, " ($1)"), id);
    }));
  };

  // Settings that fit the model; one that says nothing may have any.
  const follow = () => {
    const model = models.find(({ id }) => id === options.elements.model.value);
    const types = model?.capabilities?.thinking?.types;
    for (const option of options.elements.thinking.options) {
      option.disabled = option.value !== "" && types?.[option.value]?.supported === false;
    }
    if (options.elements.thinking.selectedOptions[0]?.disabled) options.elements.thinking.value = "";
    if (model?.max_tokens) options.elements.max_tokens.max = model.max_tokens;
    else options.elements.max_tokens.removeAttribute("max");
    const hasBudget = options.elements.thinking.value === "enabled";
    element("chat-budget").hidden = !hasBudget;
    options.elements.budget.disabled = !hasBudget;
  };

  // The request without its messages, or a sentence that says what is wrong.
  const request = () => {
    const { model, system, max_tokens: given, thinking, budget, tools } = settings();
    const most = options.elements.max_tokens.max;
    const maxTokens = Number(given);
    if (!model) return "Choose a model first.";
    if (!Number.isInteger(maxTokens) || maxTokens < 1) return "Max tokens is a number from 1 on.";
    if (most && maxTokens > Number(most)) return `This model writes up to ${Number(most).toLocaleString()} tokens.`;
    const body = { model, max_tokens: maxTokens, stream: true };
    if (system.trim()) body.system = system;
    if (thinking === "disabled") body.thinking = { type: "disabled" };
    if (thinking === "adaptive") body.thinking = { type: "adaptive", display: "summarized" };
    if (thinking === "enabled") {
      const tokens = Number(budget);
      if (!Number.isInteger(tokens) || tokens < MIN_BUDGET || tokens >= maxTokens) {
        return `The thinking budget is a number from ${MIN_BUDGET} on, below max tokens (${maxTokens}).`;
      }
      body.thinking = { type: "enabled", budget_tokens: tokens, display: "summarized" };
    }
    if (tools.trim()) {
      try {
        body.tools = JSON.parse(tools);
      } catch (error) {
        return `The tools are not JSON: ${error.message}`;
      }
      if (!Array.isArray(body.tools)) return "The tools are not a JSON array.";
    }
    return body;
  };

  // --- Files.

  const base64 = (file) => new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });

  const blockOf = async (file) => {
    if (IMAGES.includes(file.type)) {
      if (file.size > MAX_IMAGE_BYTES) throw new Error(`images have up to ${megabytes(MAX_IMAGE_BYTES)}`);
      return { type: "image", source: { type: "base64", media_type: file.type, data: await base64(file) } };
    }
    const title = file.name.slice(0, 200);
    if (file.type === "application/pdf") {
      return { type: "document", title, source: { type: "base64", media_type: file.type, data: await base64(file) } };
    }
    if (TEXTS.test(file.type) || TEXT_NAMES.test(file.name)) {
      return { type: "document", title, source: { type: "text", media_type: "text/plain", data: await file.text() } };
    }
    throw new Error("only images (PNG, JPEG, GIF, WebP), PDFs and text can be sent");
  };

  const attach = async (given) => {
    const wrong = [];
    const most = Number(root.dataset.maxBytes);
    for (const file of given) {
      const held = files.reduce((sum, { bytes }) => sum + bytes, 0);
      // Base64 makes three bytes four.
      const bytes = Math.ceil(file.size / 3) * 4;
      try {
        if (held + bytes > most) throw new Error(`with it, ${megabytes(held + bytes)} would be sent, and ${megabytes(most)} is the limit`);
        files.push({ block: await blockOf(file), name: file.name || "picture", bytes });
      } catch (error) {
        wrong.push(`${file.name} (${megabytes(file.size)}) is not sent: ${error.message}.`);
      }
    }
    problem(wrong.join("\n"));
    drawFiles();
  };

  const drawFiles = () => {
    const list = element("chat-files");
    list.hidden = !files.length;
    list.replaceChildren(...files.map((file) => {
      const remove = button("×", () => {
        files = files.filter((other) => other !== file);
        drawFiles();
      }, "quiet");
      remove.setAttribute("aria-label", `Remove ${file.name}`);
      return make("li", "", `${file.name} (${megabytes(file.bytes)}) `, remove);
    }));
  };

  // --- Messages as they are shown.

  const json = (value) => {
    const pre = make("pre", "", make("code", "", JSON.stringify(value, null, 2) ?? ""));
    pre.tabIndex = 0;
    pre.setAttribute("role", "region");
    pre.setAttribute("aria-label", "JSON");
    return pre;
  };

  const citations = (block) => {
    const found = (block.citations ?? []).map((one) => {
      const words = one.title || one.document_title || one.url || one.cited_text || "Source";
      return make("li", "", (one.url && link(one.url, [words])) || words, one.cited_text ? make("q", "", one.cited_text) : "");
    });
    return found.length ? [folded(`Sources (${found.length})`, "sources", make("ol", "", ...found))] : [];
  };

  const resultOf = (content) => {
    if (typeof content === "string") return make("pre", "", content);
    const parts = Array.isArray(content) ? content : [content];
    return make("div", "", ...parts.map((part) => {
      if (part?.type === "text") return make("pre", "", part.text);
      if (part?.type === "image") return blockView(part);
      const found = part?.url && link(part.url, [part.title || part.url]);
      return found ? make("p", "", found) : json(part);
    }));
  };

  const blockView = (block, name = "") => {
    const type = String(block.type);
    if (type === "text") return make("div", "prose", ...nodes(String(block.text ?? "")), ...citations(block));
    if (type === "thinking") return folded("Thinking", "thinking", make("p", "plain", block.thinking || "It is not shown."));
    if (type === "redacted_thinking") return folded("Thinking", "thinking", make("p", "plain", "It is encrypted."));
    if (type === "image" && block.source?.type === "base64" && IMAGES.includes(block.source.media_type)) {
      const image = make("img");
      image.src = `data:${block.source.media_type};base64,${block.source.data}`;
      image.alt = name || "Picture";
      return image;
    }
    if (type === "document") {
      const size = megabytes((block.source?.data?.length ?? 0) * (block.source?.type === "base64" ? 3 / 4 : 1));
      return make("p", "file", `${block.title || name || "Document"} (${size})`);
    }
    if (type.endsWith("tool_result")) {
      const words = type === "tool_result" ? "Result" : `Result of ${type.replace(/_tool_result$/, "").replaceAll("_", " ")}`;
      return folded(block.is_error ? `${words}: an error` : words, "tool", resultOf(block.content));
    }
    if (type.endsWith("tool_use")) {
      const made = folded(`Tool: ${block.name}`, "tool", json(block.input));
      made.open = type === "tool_use";
      return made;
    }
    return folded(type, "tool", json(block));
  };

  const metaOf = (turn) => {
    const words = [turn.model ?? ""];
    const used = turn.usage;
    if (used) {
      const input = (used.input_tokens ?? 0) + (used.cache_creation_input_tokens ?? 0) + (used.cache_read_input_tokens ?? 0);
      words.push(`${input.toLocaleString()} tokens in`, `${(used.output_tokens ?? 0).toLocaleString()} out`);
    }
    if (turn.units !== undefined) words.push(dollars(turn.units));
    if (turn.seconds) words.push(`${turn.seconds.toFixed(1)} s`);
    if (turn.stopped) words.push("stopped by you");
    const line = make("small", "meta", words.filter(Boolean).join(" · "));
    if (turn.requestId && document.querySelector("nav a[href='/console/requests']")) {
      const anchor = make("a", "", "request");
      anchor.href = `/console/requests/${encodeURIComponent(turn.requestId)}`;
      line.append(" · ", anchor);
    }
    return line;
  };

  // Calls of tools whose results are still to come.
  const waiting = () => {
    const last = talk.turns.at(-1);
    return last?.role === "assistant" ? last.content.filter(({ type }) => type === "tool_use") : [];
  };

  const actionsOf = (turn, place) => {
    const made = make("p", "acts");
    if (turn.role === "user") {
      if (turn.content.some(({ type }) => type !== "tool_result")) made.append(button("Edit", () => edit(turn, place), "quiet"));
      return made;
    }
    const said = turn.content.filter(({ type }) => type === "text").map((block) => block.text).join("\n\n");
    if (said) made.append(button("Copy", ({ target }) => copy(said, target), "quiet"));
    made.append(button("Retry", () => retry(place), "quiet"));
    if (turn.stopReason === "pause_turn" && place === talk.turns.length - 1) {
      made.append(button("Continue", () => ask(), "quiet"));
    }
    return made;
  };

  const drawTurn = (turn, place) => {
    const isUser = turn.role === "user";
    const views = turn.content.map((block, index) => blockView(block, turn.names?.[index]));
    const made = make("li", isUser ? "user" : "assistant", make("strong", "who-says", isUser ? "You" : "Answer"), ...views);
    if (running?.turn === turn) made.append(make("p", "aside pending", "Waiting for the answer…"));
    if (turn.cut) made.append(make("p", "aside", `Cut off: ${turn.cut}`));
    const calls = place === talk.turns.length - 1 && running?.turn !== turn ? waiting() : [];
    for (const call of calls) {
      const field = make("textarea", "result");
      field.rows = 2;
      field.id = `chat-result-${call.id}`;
      field.dataset.call = call.id;
      const label = make("label", "", `Result of ${call.name}`);
      label.htmlFor = field.id;
      made.append(make("div", "field", label, field));
    }
    if (calls.length) made.append(button("Send the results", () => send(), "main"));
    if (FULL_STOPS[turn.stopReason]) made.append(make("p", "aside", FULL_STOPS[turn.stopReason]));
    if (turn.problem) {
      const line = make("p", "problem", turn.problem.words);
      if (turn.problem.requestId) line.append("\n", make("small", "", `Request ${turn.problem.requestId}`));
      if (turn.problem.signIn) {
        const anchor = make("a", "", "Sign in in another tab");
        anchor.href = "/console/sign-in";
        anchor.target = "_blank";
        line.append(" ", anchor, ", then load this page again: the conversation stays.");
      }
      made.append(line);
    }
    if (!isUser) made.append(metaOf(turn));
    if (running?.turn !== turn) made.append(actionsOf(turn, place));
    return made;
  };

  const drawTurns = () => turns.replaceChildren(...talk.turns.map(drawTurn));
  // What is above the change stays: its images are not decoded again.
  const drawNewTurns = () => {
    talk.turns.slice(turns.children.length).forEach((turn) => turns.append(drawTurn(turn, talk.turns.indexOf(turn))));
    talk.turns.slice(-3, -1).filter(({ role }) => role === "assistant").forEach(redraw);
  };
  const cutAt = (place) => {
    talk.turns.length = place;
    while (turns.children.length > place) turns.lastChild.remove();
  };
  const redraw = (turn) => {
    const place = talk.turns.indexOf(turn);
    if (place >= 0) turns.children[place]?.replaceWith(drawTurn(turn, place));
  };

  const copy = async (words, target) => {
    const before = target.textContent;
    try {
      await navigator.clipboard.writeText(words);
      target.textContent = "Copied";
    } catch {
      // Only pages over HTTPS and on this machine may write to the clipboard by themselves.
      const hidden = make("textarea", "", words);
      document.body.append(hidden);
      hidden.select();
      target.textContent = document.execCommand("copy") ? "Copied" : "Not allowed";
      hidden.remove();
    }
    setTimeout(() => { target.textContent = before; }, 2000);
  };

  // --- An answer as it comes.

  // Blocks by the events' index; what has no end yet is in `open`, with the text of its JSON.
  const begin = () => ({ blocks: new Map(), open: new Map(), changed: new Set(), ended: false });

  const apply = (state, turn, event) => {
    const { index } = event;
    const block = state.blocks.get(index);
    switch (event.type) {
      case "message_start":
        turn.model = event.message?.model ?? turn.model;
        turn.usage = { ...event.message?.usage };
        break;
      case "content_block_start":
        if (!event.content_block?.type) break;
        state.blocks.set(index, event.content_block);
        state.open.set(index, "");
        state.changed.add(index);
        break;
      case "content_block_delta": {
        const { delta } = event;
        if (!block) break;
        if (delta.type === "text_delta") block.text += delta.text;
        else if (delta.type === "thinking_delta") block.thinking += delta.thinking;
        else if (delta.type === "signature_delta") block.signature = (block.signature ?? "") + delta.signature;
        else if (delta.type === "citations_delta") (block.citations ??= []).push(delta.citation);
        else if (delta.type === "input_json_delta") state.open.set(index, state.open.get(index) + delta.partial_json);
        else block.unknown = true;
        state.changed.add(index);
        break;
      }
      case "content_block_stop": {
        const given = state.open.get(index);
        if (block && given) {
          try {
            block.input = JSON.parse(given);
          } catch {
            break;
          }
        }
        // One that is changed in ways that are not known here cannot be sent again.
        if (!block?.unknown) state.open.delete(index);
        state.changed.add(index);
        break;
      }
      case "message_delta":
        turn.stopReason = event.delta?.stop_reason ?? turn.stopReason;
        turn.usage = { ...turn.usage, ...event.usage };
        break;
      case "message_stop":
        state.ended = true;
        break;
      case "error":
        throw new Failure(event.error?.message ?? "The answer broke off.", event.request_id ?? turn.requestId);
      default:
    }
  };

  // What there is when it ends: whole blocks, and text as far as it came.
  const finish = (state, turn) => {
    const entries = [...state.blocks.entries()].sort(([one], [other]) => one - other);
    const whole = ([index, block]) => !state.open.has(index) || block.type === "text";
    turn.content = entries.filter(whole).map(([, block]) => block)
      .filter((block) => block.type !== "text" || block.text);
    const cut = entries.filter((entry) => !whole(entry)).map(([, block]) => block);
    turn.cut = cut.map((block) => block.thinking || `${block.type} ${block.name ?? ""}`).join("\n").trim();
  };

  class Failure extends Error {
    constructor(words, requestId = "", signIn = false) {
      super(words);
      Object.assign(this, { requestId, signIn });
    }
  }

  const wordsOf = (response, body) => {
    let words = body?.error?.message ?? `The gateway answered with status ${response.status}.`;
    const wait = Number(response.headers.get("retry-after"));
    if (wait > 0 && !/resets at|try again/i.test(words)) {
      const at = new Date(Date.now() + wait * 1000);
      words += wait < 120 ? `. Try again in ${wait} seconds.` : `. It resets at ${at.toLocaleString()}.`;
    }
    return words;
  };

  const failureOf = async (response) => {
    const body = await response.json().catch(() => null);
    const requestId = body?.request_id ?? response.headers.get("x-apertis-request-id") ?? "";
    return new Failure(wordsOf(response, body), requestId, body?.error?.code === "not_signed_in");
  };

  async function* events(stream) {
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const pieces = (rest + value).split(/\r?\n\r?\n/);
      rest = pieces.pop();
      for (const piece of pieces) {
        const data = piece.split(/\r?\n/).filter((line) => line.startsWith("data:"))
          .map((line) => line.slice(5).trimStart()).join("\n");
        if (data) yield JSON.parse(data);
      }
    }
  }

  // The form sticks to the window's edge: to scroll it into view would move nothing.
  const toEnd = () => window.scrollTo(0, document.documentElement.scrollHeight);
  const following = (change) => {
    const isAtEnd = window.innerHeight + window.scrollY > document.documentElement.scrollHeight - 200;
    change();
    if (isAtEnd) toEnd();
  };

  // One drawing of each changed block for each frame of the screen.
  const drawing = (state, turn) => {
    const item = turns.children[talk.turns.indexOf(turn)];
    const views = new Map();
    let asked = 0;
    const draw = () => following(() => {
      asked = 0;
      for (const index of state.changed) {
        const block = state.blocks.get(index);
        const partial = state.open.get(index);
        const view = blockView(partial ? { ...block, input: partial } : block);
        const before = views.get(index);
        if (before?.tagName === "DETAILS") view.open = before.open;
        if (before) before.replaceWith(view);
        else item?.insertBefore(view, item.querySelector(":scope > .pending") ?? item.lastChild);
        views.set(index, view);
      }
      if (state.changed.size) item?.querySelector(":scope > .pending")?.replaceChildren("…");
      state.changed.clear();
    });
    return {
      soon: () => { asked ||= requestAnimationFrame(draw); },
      end: () => cancelAnimationFrame(asked),
    };
  };

  // A message can be sent again without what was cut, and without turns that came to nothing.
  const messages = () => talk.turns
    .filter(({ content }) => content.length)
    .map(({ role, content }) => ({ role, content }));

  // The body of a request for the next answer; null where there can be none, which the page says.
  const bodyOf = () => {
    const wanted = request();
    if (typeof wanted === "string") {
      problem(wanted);
      return null;
    }
    const body = new Blob([JSON.stringify({ ...wanted, messages: messages() })]);
    const most = Number(root.dataset.maxBytes);
    if (body.size > most) {
      problem(`This would send ${megabytes(body.size)}, earlier messages and files included; the limit is ${megabytes(most)}. Begin a new conversation, or leave files out.`);
      return null;
    }
    problem("");
    return body;
  };

  const ask = async (given = null) => {
    const body = given ?? bodyOf();
    if (!body) {
      drawNewTurns();
      return;
    }
    const own = talk;
    const turn = { role: "assistant", content: [], model: settings().model };
    const abort = new AbortController();
    const state = begin();
    own.settings = settings();
    own.turns.push(turn);
    running = { turn, abort };
    drawNewTurns();
    keep(own);
    const drawn = drawing(state, turn);
    toggle();
    say("Waiting for the answer.");
    const started = performance.now();
    let hasBegun = false;
    try {
      const response = await fetch(MESSAGES, {
        method: "POST",
        headers: { "content-type": "application/json", "anthropic-version": "2023-06-01", "x-form-token": form.elements.form_token.value },
        body,
        signal: abort.signal,
      });
      turn.requestId = response.headers.get("x-apertis-request-id") ?? "";
      if (!response.ok) throw await failureOf(response);
      hasBegun = true;
      for await (const event of events(response.body)) {
        apply(state, turn, event);
        drawn.soon();
      }
      if (!state.ended) throw new Failure("The answer broke off.", turn.requestId);
    } catch (error) {
      if (abort.signal.aborted) turn.stopped = true;
      else if (error instanceof Failure) turn.problem = { words: error.message, requestId: error.requestId, signIn: error.signIn };
      else if (error instanceof SyntaxError) turn.problem = { words: "The answer cannot be read.", requestId: turn.requestId };
      else turn.problem = { words: "The gateway cannot be reached.", requestId: turn.requestId };
    }
    drawn.end();
    finish(state, turn);
    turn.seconds = (performance.now() - started) / 1000;
    if (running?.turn === turn) running = null;
    toggle();
    await keep(own);
    if (own === talk) following(() => redraw(turn));
    drawList();
    announce(turn);
    if (hasBegun || turn.stopped) await price(own, turn);
  };

  // Read out once, when it is there: each word by itself would be noise.
  const announce = (turn) => {
    const said = turn.content.filter(({ type }) => type === "text").map((block) => block.text).join(" ");
    if (turn.problem) say(`No answer: ${turn.problem.words}`);
    else if (turn.stopped) say("Stopped.");
    else say(`The answer: ${said.length > 1000 ? `${said.slice(0, 1000)} …` : said}`);
  };

  const price = async (own, turn) => {
    if (!turn.requestId) return;
    try {
      const response = await fetch(`/console/chat/costs/${encodeURIComponent(turn.requestId)}`);
      if (!response.ok) return;
      turn.units = (await response.json()).units;
    } catch {
      return;
    }
    await keep(own);
    // Only this line: somebody may have begun to write a tool's result beside it.
    if (own === talk) turns.children[talk.turns.indexOf(turn)]?.querySelector(":scope > .meta")?.replaceWith(metaOf(turn));
    drawList();
  };

  const toggle = () => {
    element("chat-stop").hidden = !running;
    element("chat-send").disabled = Boolean(running);
    turns.setAttribute("aria-busy", String(Boolean(running)));
  };

  const stop = () => running?.abort.abort();

  const send = () => {
    if (running) return;
    const results = waiting().map(({ id }) => ({
      type: "tool_result",
      tool_use_id: id,
      content: turns.querySelector(`[data-call="${CSS.escape(id)}"]`)?.value || "(no result)",
    }));
    const said = text.value.trim();
    const content = [...results, ...files.map(({ block }) => block), ...(said ? [{ type: "text", text: said }] : [])];
    if (!content.length) return;
    const names = Object.fromEntries(files.map(({ name }, place) => [results.length + place, name]));
    const turn = { role: "user", content, names };
    talk.turns.push(turn);
    const body = bodyOf();
    if (!body) {
      // It stays where it was written.
      talk.turns.pop();
      return;
    }
    if (talk.turns.length === 1) talk.title = titleOf(turn);
    files = [];
    text.value = "";
    drawFiles();
    drawList();
    ask(body);
    toEnd();
  };

  const retry = (place) => {
    if (running) return;
    cutAt(place);
    ask();
  };

  const edit = (turn, place) => {
    if (running) return;
    const field = make("textarea", "", turn.content.filter(({ type }) => type === "text").map((block) => block.text).join("\n\n"));
    field.rows = 4;
    field.setAttribute("aria-label", "Message");
    const save = () => {
      const said = field.value.trim();
      const others = turn.content.filter(({ type }) => type !== "text");
      if (running || !(said || others.length)) return;
      cutAt(place);
      talk.turns.push({ ...turn, content: [...others, ...(said ? [{ type: "text", text: said }] : [])] });
      if (!place) talk.title = titleOf(talk.turns[0]);
      ask();
      text.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (isEnter(event)) {
        event.preventDefault();
        save();
      } else if (event.key === "Escape") redraw(turn);
    });
    const kept = turn.content.filter(({ type }) => type !== "text").length;
    const note = kept ? [make("small", "", `Its ${kept === 1 ? "file is" : `${kept} files are`} sent again. `)] : [];
    turns.children[place].replaceChildren(make("strong", "who-says", "You"), field,
      make("p", "acts", ...note, button("Send again", save, "main"), " ", button("Cancel", () => redraw(turn))));
    field.focus();
  };

  const isEnter = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing;

  // --- What somebody does.

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  options.addEventListener("submit", (event) => event.preventDefault());
  options.addEventListener("change", () => {
    follow();
    problem("");
    talk.settings = settings();
  });
  text.addEventListener("keydown", (event) => {
    if (!isEnter(event)) return;
    event.preventDefault();
    send();
  });
  text.addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    attach([...event.clipboardData.files]);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running) stop();
  });
  root.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    root.classList.add("dropping");
  });
  root.addEventListener("dragleave", (event) => {
    if (!root.contains(event.relatedTarget)) root.classList.remove("dropping");
  });
  root.addEventListener("drop", (event) => {
    root.classList.remove("dropping");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    attach([...event.dataTransfer.files]);
  });
  turns.addEventListener("click", ({ target }) => {
    if (target.matches(".code > .copy")) copy(target.parentElement.querySelector("pre").textContent, target);
  });
  element("chat-stop").addEventListener("click", stop);
  element("chat-new").addEventListener("click", () => choose(fresh()));
  element("chat-attach").addEventListener("click", () => element("chat-file").click());
  element("chat-file").addEventListener("change", async ({ target }) => {
    await attach([...target.files]);
    target.value = "";
  });

  const start = async () => {
    element("chat-talks").open = window.matchMedia("(width >= 60rem)").matches;
    talk = fresh();
    element("chat-missing").hidden = true;
    root.hidden = false;
    database = await openDatabase().catch(() => null);
    const [found] = await Promise.all([inDatabase("readonly", (table) => table.getAll()), loadModels()]);
    // Whoever was signed in here before is no business of whoever is now.
    const others = (found ?? []).filter(({ owner }) => owner !== root.dataset.owner);
    await Promise.all(others.map(({ id }) => inDatabase("readwrite", (table) => table.delete(id))));
    talks = (found ?? []).filter(({ owner }) => owner === root.dataset.owner)
      .sort((one, other) => other.updated - one.updated);
    // The model of the last conversation; at first one that is neither the dearest nor the smallest.
    const model = models.find(({ id }) => id === talks[0]?.settings.model) ?? models.find(({ line }) => line === "sonnet");
    if (model) options.elements.model.value = model.id;
    talk.settings = settings();
    follow();
    drawList();
    root.dataset.ready = "true";
  };
  start();
})();
