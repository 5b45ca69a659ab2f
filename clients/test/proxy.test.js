// The road has to break where it is told to, or the tests that break it show nothing.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';

import { Proxy } from '../harness/proxy.js';
import { until } from '../harness/until.js';

let server;
let proxy;
const served = new Set();

before(async () => {
  server = net.createServer((socket) => {
    served.add(socket);
    socket.on('error', () => {}).on('close', () => served.delete(socket)).pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await Proxy.to(server.address().port);
});

after(async () => {
  await proxy.end();
  server.close();
});

async function dial() {
  const socket = net.connect(Number(new URL(proxy.url).port), '127.0.0.1');
  const got = { socket, text: '', error: null, closed: false };
  socket.setEncoding('utf8').on('data', (text) => { got.text += text; });
  socket.on('error', (err) => { got.error = err; }).on('close', () => { got.closed = true; });
  socket.write('hello');
  await until('the echo', () => got.text === 'hello');
  return got;
}

test('what is sent comes through, and an end on one side is an end on the other', async () => {
  const got = await dial();
  got.socket.end();
  await until('the end', () => got.closed && proxy.live === 0 && served.size === 0);
  assert.equal(got.error, null);
});

test('a cut by reset is an error on both sides', async () => {
  const got = await dial();
  assert.equal(proxy.cut(), 1);
  await until('the cut', () => got.closed && served.size === 0 && proxy.live === 0);
  assert.equal(got.error?.code, 'ECONNRESET');
});

test('a cut can look like a hang-up', async () => {
  const got = await dial();
  assert.equal(proxy.cut({ reset: false }), 1);
  await until('the cut', () => got.closed && served.size === 0 && proxy.live === 0);
  assert.equal(got.error, null);
});

test('a cut in the midst of a message lets only its beginning through', async () => {
  const got = await dial();
  const cut = proxy.cutAfter(3);
  got.socket.write('world');
  assert.equal(await cut, true);
  await until('the cut', () => got.closed);
  assert.equal(got.text, 'hellowor');
});

test('a closed way lets nobody through until it opens', async () => {
  proxy.closed = true;
  const socket = net.connect(Number(new URL(proxy.url).port), '127.0.0.1').on('error', () => {});
  await until('the refusal', () => socket.destroyed);
  proxy.closed = false;
  const got = await dial();
  got.socket.end();
  await until('the end', () => got.closed);
});
