// Runs cases with the `@anthropic-ai/sdk` package of a folder.
//
//     node anthropic_node.mjs FOLDER < CASES > RESULTS
//
// What goes in and what comes out is described in anthropic_python.py.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const AT_ONCE = 8;
const folder = path.resolve(process.argv[2]);
const require = createRequire(path.join(folder, 'node_modules', 'driver.js'));
const Anthropic = require('@anthropic-ai/sdk').default;
const { version } = JSON.parse(
  readFileSync(path.join(folder, 'node_modules', '@anthropic-ai', 'sdk', 'package.json'), 'utf8'),
);
const given = JSON.parse(readFileSync(0, 'utf8'));
const RUN = 'promises';

class Case {
  constructor(spec) {
    const key = given.keys[RUN][spec.key ?? 'main'];
    this.spec = spec;
    this.client = new Anthropic({
      baseURL: given.targets[spec.on ?? 'scripted'] + (spec.base ?? ''),
      maxRetries: spec.retries ?? 0,
      timeout: 20_000,
      apiKey: null,
      [spec.credential === 'auth_token' ? 'authToken' : 'apiKey']: key,
    });
    this.messages = spec.betas ? this.client.beta.messages : this.client.messages;
    const headers = { 'x-case': spec.name, 'x-run': `${given.client} ${RUN}`, ...spec.headers };
    this.options = { headers };
    if (spec.query) this.options.query = spec.query;
    this.params = { ...spec.params, ...spec.extra };
    if (spec.betas) this.params.betas = spec.betas;
  }

  async create() {
    const { data, response } = await this.messages.create(this.params, this.options).withResponse();
    return { message: data, headers: Object.fromEntries(response.headers), id: data._request_id };
  }

  async stream() {
    const result = { events: [] };
    try {
      const call = this.messages.create({ ...this.params, stream: true }, this.options);
      const { data, response } = await call.withResponse();
      result.headers = Object.fromEntries(response.headers);
      for await (const event of data) result.events.push(event);
    } catch (error) {
      result.error = told(error);
    }
    return result;
  }

  async accumulate() {
    const stream = this.messages.stream(this.params, this.options);
    let text = '';
    stream.on('text', (piece) => { text += piece; });
    const message = await stream.finalMessage();
    return { text, message, id: stream.request_id };
  }

  async bytes() {
    const call = this.messages.create({ ...this.params, stream: true }, this.options);
    const response = await call.asResponse();
    return { text: await response.text(), headers: Object.fromEntries(response.headers) };
  }

  async leave() {
    const stream = await this.messages.create({ ...this.params, stream: true }, this.options);
    for await (const event of stream) return { first: event };
    return {};
  }

  // Answers tool calls until there are none.
  async loop() {
    const messages = [...this.params.messages];
    const answers = [];
    while (answers.length < 5) {
      const params = { ...this.params, messages };
      const message = this.spec.streamed
        ? await this.messages.stream(params, this.options).finalMessage()
        : await this.messages.create(params, this.options);
      answers.push(message);
      const results = message.content
        .filter((block) => block.type === 'tool_use')
        .map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: '21 degrees, noon' }));
      if (results.length === 0) break;
      messages.push({ role: 'assistant', content: message.content });
      messages.push({ role: 'user', content: results });
    }
    return { answers };
  }

  async count() {
    return this.messages.countTokens(this.params, this.options);
  }

  async models() {
    const models = [];
    for await (const model of this.client.models.list(this.params, this.options)) models.push(model);
    return { models };
  }

  async model() {
    return this.client.models.retrieve(this.params.model_id, {}, this.options);
  }

  async batch() {
    const { batches } = this.client.messages;
    const created = await batches.create(this.params, this.options);
    const retrieved = await batches.retrieve(created.id, {}, this.options);
    const results = [];
    for await (const line of await batches.results(created.id, {}, this.options)) results.push(line);
    let listed = false;
    for await (const batch of batches.list({ limit: 2 }, this.options)) {
      listed ||= batch.id === created.id;
    }
    const deleted = await batches.delete(created.id, {}, this.options);
    const second = await batches.create(this.params, this.options);
    const cancelled = await batches.cancel(second.id, {}, this.options);
    return { created, retrieved, results, listed, deleted, cancelled };
  }

  async get() {
    return { answer: await this.client.get(this.spec.path, this.options) };
  }

  async twice() {
    return { both: [await this.create(), await this.create()] };
  }

  async run() {
    const began = performance.now();
    let result;
    try {
      result = await this[this.spec.do]();
    } catch (error) {
      result = { error: told(error) };
    }
    show(RUN, this.spec.name, { ...result, seconds: (performance.now() - began) / 1000 });
  }
}

function told(error) {
  return {
    class: error.constructor.name,
    message: error.message,
    status: error.status ?? null,
    request_id: error.requestID ?? null,
    body: error.error ?? null,
    headers: error.headers ? Object.fromEntries(error.headers) : {},
  };
}

function show(run, name, result) {
  process.stdout.write(`${JSON.stringify({ run, case: name, ...result })}\n`);
}

show('', 'version', { version });
const waiting = given.cases.map((spec) => new Case(spec));
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (waiting.length > 0) await waiting.shift().run();
  }),
);
