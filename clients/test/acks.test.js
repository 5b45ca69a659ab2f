// What an app asks for over its socket, and how it is answered: with acknowledgements, their time-outs, and without.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { Apps, TRANSPORTS } from '../harness/apps.js';
import { Program } from '../harness/program.js';
import { Shop } from '../harness/shop.js';
import { until } from '../harness/until.js';

let program;
let shop;
let apps;
let order;

before(async () => {
  program = await Program.begin();
  shop = await Shop.open(program, { ada: 'admin', carl: 'customer', dora: 'customer', dave: 'delivery', erin: 'delivery' });
  apps = new Apps(program.url);
  order = await shop.order('carl');
  await shop.online('dave');
  await shop.assign(order, 'dave');
});

after(async () => {
  apps?.end();
  await program?.end();
});

for (const via of Object.keys(TRANSPORTS)) {
  describe(`over ${via}`, () => {
    const connect = (user, more) => apps.connect({ via, auth: { token: shop.token(user) }, ...more });

    test('join:order takes the bare id and says from which seq on the room counts', async () => {
      const app = await connect('carl');
      const joined = await app.ask('join:order', order.id);
      assert.equal(joined.room, `order:${order.id}`);
      assert.equal(typeof joined.seq, 'number');
      assert.deepEqual(joined.events, []);
      assert.equal(joined.more, false);
    });

    test('join:order with lastSeq answers with what the room carried', async () => {
      const app = await connect('carl');
      await app.upTo(await shop.announce('A mark')); // what happens after the answer's seq comes in the stream
      const joined = await app.ask('join:order', { orderId: order.id, lastSeq: 0 });
      assert.deepEqual(joined.events.map(({ event }) => event), ['order:assigned']);
      assert.equal(joined.events[0].data.agentId, 'dave');
    });

    test('leave:order, join:delivery and leave:delivery are acknowledged', async () => {
      const app = await connect('ada');
      assert.equal((await app.ask('join:order', order.id)).room, `order:${order.id}`);
      assert.equal((await app.ask('leave:order', order.id)).room, `order:${order.id}`);
      assert.equal((await app.ask('join:delivery', 'dave')).room, 'delivery:dave');
      assert.equal((await app.ask('leave:delivery', 'dave')).room, 'delivery:dave');
    });

    test('an acknowledgement may be taken by a callback, with a time limit or without', async () => {
      const app = await connect('carl');
      const plain = await new Promise((resolve) => app.socket.emit('join:order', order.id, resolve));
      assert.equal(plain.room, `order:${order.id}`);
      const timed = await new Promise((resolve, reject) => {
        app.socket.timeout(10_000).emit('leave:order', order.id, (err, data) => (err ? reject(err) : resolve(data)));
      });
      assert.equal(timed.room, `order:${order.id}`);
    });

    test('retries of the client are answered once each, in order', async () => {
      const app = await connect('carl', { retries: 2, ackTimeout: 10_000 });
      const rooms = await Promise.all([
        app.socket.emitWithAck('join:order', order.id),
        app.socket.emitWithAck('leave:order', order.id),
        app.socket.emitWithAck('ping'),
      ]);
      assert.deepEqual(rooms.slice(0, 2).map(({ room }) => room), [`order:${order.id}`, `order:${order.id}`]);
    });

    for (const [what, user, event, data, code] of [
      ['the order of another customer', 'dora', 'join:order', () => order.id, 'forbidden'],
      ['the order of another courier', 'erin', 'join:order', () => order.id, 'forbidden'],
      ['an order that does not exist', 'dora', 'join:order', () => randomUUID(), 'not_found'],
      ['an id that is none', 'carl', 'join:order', () => '507f1f77bcf86cd799439011', 'invalid_request'],
      ['no id', 'carl', 'join:order', () => undefined, 'invalid_request'],
      ['a courier who carries nothing of the customer\'s', 'dora', 'join:delivery', () => 'dave', 'forbidden'],
      ['a location by a customer', 'carl', 'delivery:location', () => ({ orderId: order.id, latitude: 1, longitude: 1 }), 'forbidden'],
      ['a location by a courier who does not carry the order', 'erin', 'delivery:location', () => ({ orderId: order.id, latitude: 1, longitude: 1 }), 'forbidden'],
      ['a location outside the world', 'dave', 'delivery:location', () => ({ orderId: order.id, latitude: 91, longitude: 1 }), 'invalid_request'],
      ['another user\'s id in register', 'carl', 'register', () => ({ userId: 'dora', role: 'customer' }), 'forbidden'],
      ['another role in register', 'carl', 'register', () => ({ userId: 'carl', role: 'admin' }), 'forbidden'],
      ['a cursor in register instead of auth', 'carl', 'register', () => ({ lastSeq: 1 }), 'invalid_request'],
      ['a cursor that the log has not reached', 'carl', 'join:order', () => ({ orderId: order.id, lastSeq: 1e9 }), 'cursor_ahead'],
    ]) {
      test(`${what}: ${event} fails with ${code}, and the connection stays`, async () => {
        const app = await connect(user);
        const answer = await app.ask(event, data());
        assert.equal(answer?.error?.code, code, JSON.stringify(answer));
        assert.ok(answer.error.message.length > 10);
        app.socket.emit(event, data()); // without an acknowledgement it comes as an event
        const failure = await app.hears('error');
        assert.equal(failure.code, code);
        await app.ask('ping');
        assert.deepEqual(app.disconnects, []);
        assert.equal(app.of('error').length, 1);
      });
    }

    test('an event that nobody knows fails, and the connection stays', async () => {
      const app = await connect('carl');
      assert.equal(typeof (await app.ask('order:take:all', 1))?.error?.code, 'string');
      await app.ask('ping');
    });

    test('refresh takes a new token of the same user, and no other', async () => {
      const app = await connect('carl');
      assert.equal((await app.ask('refresh', { token: await program.token('carl', 'customer') }))?.error, undefined);
      assert.equal((await app.ask('refresh', { token: shop.token('ada') }))?.error?.code, 'forbidden');
    });
  });
}

test('a time-out is the client\'s own: a late answer does no harm', async () => {
  const app = await apps.connect({ auth: { token: shop.token('carl') } });
  const wire = app.socket.io.engine.transport.ws;
  wire.pause(); // the answer cannot come in time
  await assert.rejects(app.socket.timeout(10).emitWithAck('join:order', order.id), /timed out/);
  wire.resume();
  assert.equal((await app.ask('join:order', order.id)).room, `order:${order.id}`);
});

test('an anonymous app may not join anything', async () => {
  const app = await apps.connect();
  assert.equal((await app.ask('join:order', order.id)).error.code, 'unauthenticated');
  assert.equal((await app.ask('delivery:location', { orderId: order.id, latitude: 1, longitude: 1 })).error.code, 'unauthenticated');
  await app.ask('ping');
});

for (const via of Object.keys(TRANSPORTS)) {
  test(`more than 100 messages in 10 s over ${via}, kept by the client while it was away, are taken in their order and slowly`, async () => {
    const app = await apps.connect({ via, auth: { token: shop.token('dora') } });
    app.socket.io.engine.close();
    await app.disconnected();
    const answered = [];
    const before = Date.now();
    for (let i = 0; i < 120; i++) app.socket.emit('ping', () => answered.push(i)); // it sends them when it is back
    await until(() => `120 answers and not ${answered.length}`, () => answered.length === 120, 30_000);
    assert.ok(Date.now() - before > 9_000);
    assert.deepEqual(answered, Array.from({ length: 120 }, (_, i) => i));
    assert.deepEqual(app.of('error').map(({ code }) => code), ['rate_limited']);
    assert.deepEqual(app.connects, [false, true]);
  });
}
