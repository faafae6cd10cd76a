// An identity provider with the `oidc-provider` package of a folder, and its own page of signing in.
//
//     node oidc_provider.mjs FOLDER < SETTINGS
//
// SETTINGS is JSON: `client` as the package takes it, and `accounts`, the claims by the name that
// somebody enters at the provider. A line `{"issuer": ...}` says where it is; it ends with its input.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const folder = path.resolve(process.argv[2]);
const require = createRequire(path.join(folder, 'node_modules', 'driver.js'));
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const lines = createInterface({ input: process.stdin });
const { client, accounts } = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
const server = createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [client],
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name'],
    groups: ['groups'],
  },
  scopes: ['openid', 'email', 'profile', 'groups'],
  // Claims are in the ID token too, as most providers have it.
  conformIdTokenClaims: false,
  findAccount: (_, id) =>
    accounts[id] && { accountId: id, claims: async () => ({ sub: id, ...accounts[id] }) },
});
server.on('request', provider.callback());
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
console.log(JSON.stringify({ issuer }));
