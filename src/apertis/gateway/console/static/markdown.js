// Markdown of models as DOM nodes. What a model writes becomes text, never HTML: each element and
// attribute is made here, and links go to http and https alone.
"use strict";

window.Markdown = (() => {
  const MAX_DEPTH = 8;
  const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^\s`]*)[^`]*$/;
  const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
  const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
  const ITEM = /^([ \t]*)([-*+]|\d{1,9}[.)])(?:[ \t]+(.*)|)$/;
  const QUOTE = /^ {0,3}> ?/;
  const TABLE_LINE = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
  const SPECIAL = /[\\`*_~[!h<]/g;
  const ESCAPABLE = /[!-/:-@[-`{-~]/;
  const WORD = /[\p{L}\p{N}]/u;
  const URL_END = /[\s<>"'`]/;

  const make = (tag, name, ...children) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...children);
    return element;
  };

  // A URL that may be followed, in its normal form; null for any other.
  const safe = (address) => {
    try {
      const url = new URL(address);
      return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
    } catch {
      return null;
    }
  };

  const link = (address, children) => {
    const href = safe(address);
    if (href === null) return null;
    const anchor = make("a", "", ...children);
    anchor.href = href;
    anchor.rel = "noopener noreferrer nofollow";
    anchor.target = "_blank";
    return anchor;
  };

  // The end of `[text](address)` that begins at `start`: [text, address, behind it], or null.
  const bracketed = (text, start) => {
    let depth = 0;
    let at = start;
    for (; at < text.length; at += 1) {
      if (text[at] === "\\") at += 1;
      else if (text[at] === "[") depth += 1;
      else if (text[at] === "]" && (depth -= 1) === 0) break;
      else if (at - start > 1000) return null;
    }
    if (text[at + 1] !== "(") return null;
    let end = at + 2;
    for (depth = 1; end < text.length && end - at < 4000; end += 1) {
      if (text[end] === "\n") return null;
      if (text[end] === "(") depth += 1;
      else if (text[end] === ")" && (depth -= 1) === 0) break;
    }
    if (text[end] !== ")") return null;
    const address = text.slice(at + 2, end).trim().replace(/[ \t]+["'(].*$/, "");
    return [text.slice(start + 1, at), address.replace(/^<(.*)>$/, "$1"), end + 1];
  };

  // The length of the run of one character that begins at `at`.
  const run = (text, at) => {
    let end = at;
    while (text[end] === text[at]) end += 1;
    return end - at;
  };

  const STRONG = { "**": "strong", "__": "strong", "~~": "del", "*": "em", "_": "em" };

  const emphasis = (text, at, depth) => {
    const marks = text[at] === "~" || run(text, at) > 1 ? text.slice(at, at + 2) : text[at];
    const tag = STRONG[marks];
    const inside = at + marks.length;
    const isWord = (place) => WORD.test(text[place] ?? "");
    if (!tag || depth > MAX_DEPTH || /\s/.test(text[inside] ?? " ")) return null;
    if (marks[0] === "_" && isWord(at - 1)) return null;
    let end = text.indexOf(marks, inside);
    while (end > 0) {
      const extra = run(text, end) - marks.length;
      const closes = !/\s/.test(text[end - 1]) && (marks.length === 2 || extra !== 1);
      if (closes && end > inside && !(marks[0] === "_" && isWord(end + marks.length))) {
        // `***a**b*`: what closes is the end of the run.
        const close = end + (marks.length === 2 && extra > 0 ? Math.min(extra, 1) : 0);
        return [make(tag, "", ...inline(text.slice(inside, close), depth + 1)), close + marks.length];
      }
      end = text.indexOf(marks, end + marks.length + Math.max(extra, 0));
    }
    return null;
  };

  const code = (text, at) => {
    const length = run(text, at);
    const ticks = text.slice(at, at + length);
    let end = text.indexOf(ticks, at + length);
    while (end > 0 && run(text, end) !== length) end = text.indexOf(ticks, end + run(text, end));
    if (end < 0) return [ticks, at + length];
    const inside = text.slice(at + length, end).replaceAll("\n", " ");
    const trimmed = /^ .*\S.* $/.test(inside) ? inside.slice(1, -1) : inside;
    return [make("code", "", trimmed), end + length];
  };

  const address = (text, at) => {
    const isBracketed = text[at] === "<";
    const start = isBracketed ? at + 1 : at;
    if (!text.startsWith("http://", start) && !text.startsWith("https://", start)) return null;
    if (!isBracketed && WORD.test(text[at - 1] ?? "")) return null;
    let end = start;
    while (end < text.length && !URL_END.test(text[end])) end += 1;
    if (isBracketed && text[end] !== ">") return null;
    if (!isBracketed) {
      while (/[.,;:!?*_~]/.test(text[end - 1])) end -= 1;
      if (text[end - 1] === ")" && !text.slice(start, end).includes("(")) end -= 1;
    }
    const said = text.slice(start, end);
    const made = link(said, [said]);
    return made && [made, end + (isBracketed ? 1 : 0)];
  };

  const named = (text, at, depth) => {
    // An image would be fetched from elsewhere: it is a link.
    const start = text[at] === "!" ? at + 1 : at;
    if (text[start] !== "[" || depth > MAX_DEPTH) return null;
    const found = bracketed(text, start);
    if (!found) return null;
    const made = link(found[1], inline(found[0] || found[1], depth + 1));
    return made && [made, found[2]];
  };

  const special = (text, at, depth) => {
    switch (text[at]) {
      case "\\":
        return ESCAPABLE.test(text[at + 1] ?? "") ? [text[at + 1], at + 2] : null;
      case "`":
        return code(text, at);
      case "[":
      case "!":
        return named(text, at, depth);
      case "h":
      case "<":
        return address(text, at);
      default:
        return emphasis(text, at, depth);
    }
  };

  // The text of one paragraph as nodes.
  const inline = (text, depth = 0) => {
    const nodes = [];
    let plain = "";
    let at = 0;
    while (at < text.length) {
      SPECIAL.lastIndex = at;
      const next = SPECIAL.exec(text)?.index ?? text.length;
      plain += text.slice(at, next);
      if (next === text.length) break;
      const found = special(text, next, depth);
      if (found) {
        if (typeof found[0] === "string") plain += found[0];
        else {
          nodes.push(plain, found[0]);
          plain = "";
        }
        at = found[1];
      } else {
        // All of a run, or a long one would be looked at once for each of its characters.
        const length = run(text, next);
        plain += text.slice(next, next + length);
        at = next + length;
      }
    }
    nodes.push(plain);
    return nodes.filter((node) => node !== "");
  };

  const codeBlock = (text, language) => {
    const button = make("button", "copy", "Copy");
    button.type = "button";
    const pre = make("pre", "", make("code", "", text));
    pre.tabIndex = 0;
    pre.setAttribute("role", "region");
    pre.setAttribute("aria-label", language ? `Code: ${language}` : "Code");
    return make("div", "code", button, pre);
  };

  const cells = (line) =>
    line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "").split(/(?<!\\)\|/)
      .map((cell) => cell.trim().replaceAll("\\|", "|"));

  const table = (lines) => {
    const [head, , ...rows] = lines.map(cells);
    const row = (values, tag) => make("tr", "", ...head.map((_, place) => {
      const cell = make(tag, "", ...inline(values[place] ?? ""));
      if (tag === "th") cell.scope = "col";
      return cell;
    }));
    const made = make("table", "", make("thead", "", row(head, "th")),
      make("tbody", "", ...rows.map((values) => row(values, "td"))));
    const scroll = make("div", "scroll", made);
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "Table");
    return scroll;
  };

  const width = (space) => space.replaceAll("\t", "    ").length;

  // A list that begins with the first of the lines: [its element, how many lines it has].
  const list = (lines, depth) => {
    const [, space, mark] = ITEM.exec(lines[0]);
    const isNumbered = /\d/.test(mark);
    const made = make(isNumbered ? "ol" : "ul");
    if (isNumbered && parseInt(mark, 10) !== 1) made.start = parseInt(mark, 10);
    const indent = width(space);
    let at = 0;
    while (at < lines.length) {
      const found = ITEM.exec(lines[at]);
      if (!found || width(found[1]) > indent + 3 || width(found[1]) < indent) break;
      if (/\d/.test(found[2]) !== isNumbered || RULE.test(lines[at])) break;
      const inside = [found[3] ?? ""];
      const inner = indent + found[2].length + 1;
      let fence = FENCE.exec(inside[0])?.[1] ?? "";
      for (at += 1; at < lines.length; at += 1) {
        const line = lines[at];
        const own = width(/^[ \t]*/.exec(line)[0]);
        if (line.trim() === "") {
          const next = lines.slice(at).find((one) => one.trim() !== "");
          if (next === undefined || width(/^[ \t]*/.exec(next)[0]) < Math.min(inner, indent + 2)) break;
        } else if (own < Math.min(inner, indent + 2)) {
          const starts = ITEM.test(line) || HEADING.test(line) || FENCE.test(line) || RULE.test(line);
          if (fence || starts || QUOTE.test(line) || inside.at(-1).trim() === "") break;
        }
        const cut = line.slice(0, inner).trimStart() + line.slice(inner);
        const ticks = FENCE.exec(cut)?.[1];
        if (ticks) fence = fence ? "" : ticks;
        inside.push(cut);
      }
      const parts = [...blocks(inside, depth + 1)];
      // Items of one paragraph are lines.
      if (parts[0]?.tagName === "P" && !inside.some((line) => line.trim() === "")) {
        parts.splice(0, 1, ...parts[0].childNodes);
      }
      made.append(make("li", "", ...parts));
      while (at < lines.length && lines[at].trim() === "" && ITEM.test(lines[at + 1] ?? "")) at += 1;
    }
    return [made, at];
  };

  const paragraph = (lines) => {
    const text = lines.map((line) => line.trim()).join("\n");
    return make("p", "", ...inline(text));
  };

  function* blocks(lines, depth = 0) {
    let at = 0;
    let open = [];
    const ended = function* () {
      if (open.length) yield paragraph(open);
      open = [];
    };
    while (at < lines.length) {
      const line = lines[at];
      const fence = FENCE.exec(line);
      const heading = HEADING.exec(line);
      const item = ITEM.exec(line);
      if (line.trim() === "") {
        yield* ended();
        at += 1;
      } else if (fence) {
        yield* ended();
        const closes = new RegExp(`^ {0,3}${fence[1][0]}{${fence[1].length},}[ \\t]*$`);
        const rest = lines.slice(at + 1);
        const end = rest.findIndex((one) => closes.test(one));
        const inside = end < 0 ? rest : rest.slice(0, end);
        yield codeBlock(inside.join("\n"), fence[2]);
        at += inside.length + (end < 0 ? 1 : 2);
      } else if (heading) {
        yield* ended();
        // The page has headings of its own; these are a message's.
        yield make("p", "", make("strong", `heading h${heading[1].length}`,
          ...inline(heading[2].trimEnd().replace(/ #+$/, ""))));
        at += 1;
      } else if (RULE.test(line)) {
        yield* ended();
        yield make("hr");
        at += 1;
      } else if (QUOTE.test(line) && depth < MAX_DEPTH) {
        yield* ended();
        const inside = [];
        for (; at < lines.length && QUOTE.test(lines[at]); at += 1) {
          inside.push(lines[at].replace(QUOTE, ""));
        }
        yield make("blockquote", "", ...blocks(inside, depth + 1));
      } else if (item && depth < MAX_DEPTH && (item[3] || !open.length)) {
        yield* ended();
        const [made, used] = list(lines.slice(at), depth);
        yield made;
        at += Math.max(used, 1);
      } else if (line.includes("|") && TABLE_LINE.test(lines[at + 1] ?? "")
        && lines[at + 1].includes("-") && cells(line).length === cells(lines[at + 1]).length) {
        yield* ended();
        let end = at + 2;
        while (end < lines.length && lines[end].includes("|")) end += 1;
        yield table(lines.slice(at, end));
        at = end;
      } else {
        open.push(line);
        at += 1;
      }
    }
    yield* ended();
  }

  return {
    make,
    link,
    // The nodes of a text.
    nodes: (text) => [...blocks(text.replaceAll("\r\n", "\n").split("\n"))],
  };
})();
