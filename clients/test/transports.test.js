// Each way to connect: register, events, acknowledgements and goodbye.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Apps, TRANSPORTS } from '../harness/apps.js';
import { Program } from '../harness/program.js';
import { Shop } from '../harness/shop.js';
import { expected, faults } from '../harness/told.js';
import { until } from '../harness/until.js';

let program;
let shop;
let apps;

before(async () => {
  program = await Program.begin();
  shop = await Shop.open(program, { ada: 'admin', carl: 'customer' });
  apps = new Apps(program.url);
});

after(async () => {
  apps?.end();
  await program?.end();
});

for (const via of Object.keys(TRANSPORTS)) {
  describe(`over ${via}`, () => {
    const connect = (user, more) => apps.connect({ via, auth: { token: shop.token(user) }, ...more });

    test('an app connects, by that transport', async () => {
      const { socket } = await connect('carl');
      const name = via === 'polling' ? 'polling' : 'websocket';
      await until('the transport', () => socket.io.engine.transport.name === name);
      assert.ok(socket.id);
      assert.notEqual(socket.id, socket.io.engine.id, 'the session id of the engine is a secret, the socket id is not');
      assert.equal(socket.recovered, false, 'there was nothing to recover');
    });

    test('register is answered by registered, and by its acknowledgement', async () => {
      const app = await connect('carl');
      app.socket.emit('register', { userId: 'carl', role: 'customer' });
      const data = await app.hears('registered');
      assert.equal(data.userId, 'carl');
      assert.equal(data.role, 'customer');
      assert.match(data.log, /^[0-9a-f-]{36}$/);
      assert.deepEqual([...data.channels].sort(), ['all', 'role:customer', 'user:carl']);
      assert.deepEqual(data.refused, []);
      const again = await app.ask('register', {});
      assert.deepEqual([again.userId, again.role, again.log], ['carl', 'customer', data.log]);
    });

    test('an acknowledgement comes back, and pong with it', async () => {
      const app = await connect('carl');
      await app.ask('ping');
      await until('pong', () => app.told.some(({ event }) => event === 'pong'));
      app.socket.emit('ping');
      await until('the second pong', () => app.of('pong').length === 2);
    });

    test('what happens is told in order, once, as the feed has it', async () => {
      const app = await connect('ada');
      const { seq: start } = await app.ask('register', {});
      for (let i = 1; i <= 40; i++) await shop.announce(`Number ${i}, with more than ASCII: ça va, 你好, 🍕`);
      await app.upTo(shop.api.newest);
      const { items } = await shop.feed('ada', start);
      assert.ok(items.length >= 40);
      assert.deepEqual(faults(app.log, expected(items, { changed: true })), []);
    });

    test('many messages at once are all answered, in order', async () => {
      const app = await connect('carl');
      const order = [];
      const asked = Array.from({ length: 60 }, (_, i) => app.ask('ping').then(() => order.push(i)));
      await Promise.all(asked);
      assert.deepEqual(order, [...order].sort((a, b) => a - b));
      assert.equal(order.length, 60);
    });

    test('a goodbye is one: the app is not connected any more, and does not come back', async () => {
      const user = `guest-${via}`;
      const app = await apps.connect({ via, auth: { token: await program.token(user, 'customer') } });
      const online = async () => (await shop.api.get(shop.token('ada'), '/socket/status')).connectedUsers.includes(user);
      await until('the user in /socket/status', online);
      app.end();
      await until('the user gone from /socket/status', async () => !(await online()));
      assert.deepEqual(app.disconnects, ['io client disconnect']);
    });

    test('a session that ends without a goodbye comes back as the same', async () => {
      const app = await connect('carl');
      app.socket.io.engine.close(); // as the client's documentation simulates a lost connection
      await app.connected(2);
      assert.deepEqual(app.connects, [false, true]);
    });
  });
}

test('transports in the seed\'s order, WebSocket first, work as well', async () => {
  const app = await apps.connect({ transports: ['websocket', 'polling'], auth: { token: `Bearer ${shop.token('carl')}` } });
  assert.equal(app.socket.io.engine.transport.name, 'websocket');
  assert.equal((await app.ask('register', { userId: 'carl', role: 'customer' })).userId, 'carl');
});

test('events lose nothing while the transport is upgraded', async () => {
  const flow = { on: true };
  const news = (async () => { while (flow.on) await shop.announce('Still open'); })();
  try {
    for (let i = 0; i < 15; i++) {
      const app = apps.open({ via: 'upgrade', auth: { token: shop.token('carl') } });
      const upgraded = new Promise((resolve) => app.socket.io.on('open', () => app.socket.io.engine.once('upgrade', resolve)));
      await app.connected();
      const { seq: start } = await app.ask('register', {});
      await upgraded;
      const before = app.log.length;
      await until('news after the upgrade', () => app.log.length >= before + 3);
      const last = app.log.at(-1).data.seq;
      const { items } = await shop.feed('carl', start);
      assert.deepEqual(faults(app.log.filter(({ data }) => data.seq <= last), expected(items.filter(({ seq }) => seq <= last))), []);
      app.end();
    }
  } finally {
    flow.on = false;
    await news;
  }
});
