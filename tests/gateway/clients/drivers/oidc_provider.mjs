// Serves the certified provider of a folder on a free port, with accounts of tests.
//
//     node oidc_provider.mjs FOLDER
//
// It says its port on the first line; then it reads one line of JSON: `client` is the metadata of the
// one client, `accounts` has the claims of each by the name that one signs in with. It says "ready".

import { once } from 'node:events';
import { createServer } from 'node:http';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const folder = path.resolve(process.argv[2]);
const entry = path.join(folder, 'node_modules', 'oidc-provider', 'lib', 'index.js');
const { default: Provider } = await import(pathToFileURL(entry));
let answer;
const server = createServer((request, response) => answer(request, response));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();
console.log(port);

const [line] = await once(createInterface({ input: process.stdin }), 'line');
const { client, accounts } = JSON.parse(line);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [client],
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...accounts[sub] }) }),
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'preferred_username'],
    groups: ['groups'],
  },
  scopes: ['openid', 'email', 'profile', 'groups'],
  pkce: { required: () => true },
  cookies: { keys: ['of tests'] },
  ttl: { Session: 600, Grant: 600, Interaction: 600, AccessToken: 600, IdToken: 600 },
});
answer = provider.callback();
console.log('ready');
