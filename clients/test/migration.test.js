// What docs/migration.md shows does what it says.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Apps, TRANSPORTS } from '../harness/apps.js';
import { Example } from '../harness/examples.js';
import { Program } from '../harness/program.js';
import { Shop } from '../harness/shop.js';
import { until } from '../harness/until.js';

let program;
let shop;
const endings = [];

before(async () => {
  program = await Program.begin();
  shop = await Shop.open(program, { ada: 'admin', carl: 'customer', rita: 'customer' });
});

after(async () => {
  for (const end of endings.reverse()) await end();
  await program?.end();
});

const example = (name, modules, client) => {
  const one = new Example(name, program.url, modules, client);
  endings.push(one.end);
  return one;
};

const restart = async (meanwhile = async () => {}) => {
  await program.stop();
  await program.start();
  await meanwhile();
};

test('the React Native service hears what happened while the phone was away', async () => {
  const { default: service } = await example('react-native', {
    '@react-native-async-storage/async-storage': 'export default { getItem: async (key) => globalThis[`stored ${key}`] };',
  }).load();
  globalThis['stored accessToken'] = shop.token('carl');
  const order = await shop.order('carl');

  const socket = service.connect('carl');
  endings.push(() => service.disconnect());
  const statuses = [];
  let registered;
  service.on('registered', (data) => { registered = data; });
  service.on('order:status:update', ({ orderId, status }) => orderId === order.id && statuses.push(status));
  await until('registered', () => registered);
  assert.deepEqual([registered.userId, registered.role], ['carl', 'customer']);
  service.emit('join:order', order.id);

  await shop.step(order, 'confirmed');
  await until('the first status', () => statuses.length > 0);
  await restart(() => shop.step(order, 'preparing'));
  await until('the second status', () => statuses.length > 1);
  await shop.step(order, 'ready');
  await until('the third status', () => statuses.length > 2);
  assert.deepEqual(statuses, ['confirmed', 'preparing', 'ready']);
  assert.equal(socket.recovered, true);
});

test('the web page shows the orders of REST and goes on from there', async () => {
  const { followOrders } = await example('web').load();
  const order = await shop.order('rita');
  await shop.step(order, 'confirmed');
  const other = await shop.order('rita');
  const shown = [];
  // The list may be a moment older than the answer to a command: what it lacks has to come over the socket.
  const socket = await followOrders(async () => shop.token('rita'), (orders) => shown.push(new Map(orders)));
  endings.push(() => socket.disconnect());
  await until('the first order as confirmed', () => shown.at(-1).get(order.id) === 'confirmed');
  await shop.step(order, 'preparing');
  await until('the change', () => shown.at(-1).get(order.id) === 'preparing');
  await restart(() => shop.cancel(other, 'changed my mind', 'rita'));
  await until('the cancellation', () => shown.at(-1).get(other.id) === 'cancelled');
});

test('the Node printer prints each order once, also after a night switched off', async () => {
  const one = example('node');
  const file = path.join(one.dir, 'cursor.json');
  const token = await program.token('printer', 'admin');
  const lines = [];
  const printer = () => {
    const child = spawn(process.execPath, [one.file, program.url, token, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      const whole = (rest + text).split('\n');
      rest = whole.pop();
      lines.push(...whole);
    });
    const gone = new Promise((resolve) => child.once('close', resolve));
    const off = () => {
      child.kill();
      return gone;
    };
    endings.push(off);
    return off;
  };
  const kept = () => {
    try {
      return JSON.parse(readFileSync(file, 'utf8')).lastSeq;
    } catch {
      return undefined; // not yet, or it is just being written
    }
  };
  const prints = async (count) => {
    await until(() => `${count} lines: ${lines}`, () => lines.length >= count);
    await until('its cursor to be kept', () => kept() >= shop.api.newest);
  };
  const line = ({ orderNumber }) => `${orderNumber}: 2 × Margherita`;

  const switchOff = printer();
  await until('a cursor', () => kept() !== undefined);
  const first = await shop.order('rita');
  await prints(1);
  await switchOff();
  const second = await shop.order('rita');
  const third = await shop.order('carl');
  printer();
  await prints(3);
  await restart();
  const fourth = await shop.order('rita');
  await prints(4);
  assert.deepEqual(lines, [first, second, third, fourth].map(line));
});

test('a client from before connection state recovery misses nothing by the cursor it keeps', async () => {
  const { connect } = await example('older', {}, 'socket.io-client-4.5').load();
  const socket = connect(program.url, shop.token('rita'));
  endings.push(() => socket.disconnect());
  const heard = [];
  socket.on('order:status:update', ({ status }) => heard.push(status));
  socket.on('order:cancelled', () => heard.push('cancelled'));
  await new Promise((resolve) => socket.once('registered', resolve));
  const order = await shop.order('rita');
  await shop.step(order, 'confirmed');
  await until('the first status', () => heard.length > 0);
  await restart(() => shop.step(order, 'preparing'));
  await until('what it missed', () => heard.length > 1);
  await program.kill();
  await program.start();
  await shop.cancel(order, 'burnt', 'ada');
  await until('what it missed the second time', () => heard.length > 2);
  assert.deepEqual(heard, ['confirmed', 'preparing', 'cancelled']);
  assert.equal(socket.recovered, undefined, 'this client knows of no recovery');
});

test('an app that names the server itself as its origin, as React Native does, is let in by every transport', async () => {
  const apps = new Apps(program.url);
  endings.push(() => apps.end());
  for (const via of Object.keys(TRANSPORTS)) {
    const app = await apps.connect({ via, auth: { token: shop.token('carl') }, extraHeaders: { Origin: program.url } });
    if (via !== 'polling') await until('the WebSocket', () => app.socket.io.engine.transport.name === 'websocket');
    assert.equal((await app.ask('register', {})).userId, 'carl');
  }
});
