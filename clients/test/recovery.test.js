// Connection state recovery: what was missed comes, once and in order, and `recovered` says so.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Apps, TRANSPORTS } from '../harness/apps.js';
import { Program } from '../harness/program.js';
import { Proxy } from '../harness/proxy.js';
import { Shop } from '../harness/shop.js';
import { expected, faults } from '../harness/told.js';
import { until } from '../harness/until.js';

let program;
let shop;
let apps;
const roads = [];

before(async () => {
  program = await Program.begin();
  shop = await Shop.open(program, { ada: 'admin', carl: 'customer', dora: 'customer', dave: 'delivery', erin: 'delivery' });
  apps = new Apps(program.url);
});

after(async () => {
  apps?.end();
  for (const road of roads) await road.end();
  await program?.end();
});

// Somebody who came in over a road that can be cut, and from where on the stream counts for him.
async function visitor(user, { via = 'websocket', ...options } = {}) {
  const road = await Proxy.to(program.port);
  roads.push(road);
  const app = await apps.connect({ url: road.url, via, auth: { token: shop.token(user) }, ...options });
  // A client that is cut in the midst of its upgrade has paused polling, and notices no sooner than at its ping time-out.
  if (via === 'upgrade') await until('the upgrade', () => app.socket.io.engine.transport.name === 'websocket');
  const { seq: start } = await app.ask('register', {});
  return { user, app, road, start };
}

async function assertToldAll({ user, app, start }) {
  const mark = await shop.announce('A mark');
  await app.upTo(mark);
  const { items } = await shop.feed(user, start);
  const wanted = expected(items.filter(({ seq }) => seq <= mark), { changed: user === 'ada' });
  assert.deepEqual(faults(app.log.filter(({ data }) => data.seq <= mark), wanted), [], user);
}

const everyWay = () => Promise.all(Object.keys(TRANSPORTS).flatMap((via) => ['ada', 'carl'].map((user) => visitor(user, { via }))));

for (const end of ['stop', 'kill']) {
  test(`after a restart (${end}) everybody is recovered, and told of all that happened meanwhile`, async () => {
    const all = await everyWay();
    await shop.step(await shop.order('carl'), 'confirmed');
    for (const { road } of all) road.closed = true; // those who are quick to come back shall miss something all the same
    await program[end]();
    await Promise.all(all.map(({ app }) => app.disconnected()));
    await program.start();
    await shop.step(await shop.order('carl'), 'confirmed');
    for (const { road } of all) road.closed = false;
    await Promise.all(all.map(({ app }) => app.connected(2)));
    for (const one of all) {
      assert.deepEqual(one.app.connects, [false, true], one.app.socket.io.opts.transports.join());
      await assertToldAll(one);
    }
  });
}

// socket.io-client 4.8 keeps back an event that comes in one payload with the end of the engine's session: it emits it at
// the next connection, and does not count it in its offset before, so that it would be told twice.
test('a server that stops says so, by whatever transport, before the connection ends', async () => {
  const all = await Promise.all(Object.keys(TRANSPORTS).map((via) => visitor('ada', { via, reconnection: false })));
  await program.stop();
  try {
    for (const { app } of all) {
      await app.disconnected();
      assert.deepEqual(app.of('reconnect').map(({ afterMs }) => typeof afterMs), ['number'], app.socket.io.opts.transports.join());
    }
  } finally {
    await program.start();
  }
});

test('who was told nothing before the cut is recovered as well, also when the server was restarted', async () => {
  const all = await everyWay();
  for (const { road } of all) {
    road.closed = true;
    road.cut();
  }
  await Promise.all(all.map(({ app }) => app.disconnected()));
  for (const { app } of all) assert.deepEqual(app.log, []);
  await program.kill();
  await program.start();
  await shop.announce('What they missed');
  for (const { road } of all) road.closed = false;
  for (const one of all) {
    await one.app.connected(2);
    assert.deepEqual(one.app.connects, [false, true]);
    await assertToldAll(one);
  }
});

test('who was told nothing is recovered after several cuts in a row', async () => {
  const one = await visitor('carl');
  for (let times = 2; times < 5; times++) {
    one.road.cut();
    await one.app.connected(times);
  }
  assert.deepEqual(one.app.connects, [false, true, true, true]);
  await assertToldAll(one);
});

test('after a long while away, with much that happened, one comes back as if it were a moment', async () => {
  const all = await Promise.all(Object.keys(TRANSPORTS).map((via) => visitor('ada', { via, reconnection: false })));
  await shop.announce('The last that they hear');
  await Promise.all(all.map(({ app }) => app.upTo(shop.api.newest)));
  for (const { app, road } of all) {
    road.closed = true; // between two polls there may be nothing to cut
    road.cut();
    await app.disconnected();
    road.closed = false;
  }
  for (let i = 0; i < 15; i++) {
    await Promise.all(Array.from({ length: 20 }, (_, n) => shop.as('ada', 'POST', '/notifications', {
      userId: 'ada', title: `News ${i} ${n}`, message: 'Much happens', type: 'info',
    })));
  }
  await program.stop();
  await program.start();
  for (const one of all) {
    one.app.socket.connect();
    await one.app.connected(2);
    assert.equal(one.app.socket.recovered, true);
    await assertToldAll(one);
  }
});

test('an offset of long ago is resumed from, and nothing of it is told twice', async () => {
  const app = await apps.connect({ auth: { token: shop.token('carl'), lastSeq: 0 } });
  await app.upTo(await shop.announce('So far'));
  const pid = app.socket._pid; // the client keeps it to itself; here it is brought by a client of another process
  const [first, ...rest] = app.log;
  const offset = app.told.find(({ data }) => data?.seq === first.data.seq).args.at(-1);
  assert.equal(offset, String(first.data.seq), 'the offset is the seq');
  app.end();

  const late = await apps.connect({ auth: { token: shop.token('carl'), pid, offset } });
  const mark = await shop.announce('And now');
  await late.upTo(mark);
  const upTo = rest.at(-1).data.seq;
  assert.deepEqual(late.log.filter(({ data }) => data.seq <= upTo).map(({ data }) => data.seq), rest.map(({ data }) => data.seq));
  assert.equal(late.socket._pid, pid);
});

test('an admin who was cut between order:status:changed and order:status:update gets the second, and the first not again', async () => {
  const { app, start } = await visitor('ada');
  await shop.step(await shop.order('carl'), 'confirmed');
  await app.upTo(await shop.announce('A mark'));
  const { args: [{ seq }, offset] } = app.told.find(({ event }) => event === 'order:status:changed');
  assert.ok(seq > start);
  for (const own of [{}, { lastSeq: seq - 1 }, { lastSeq: seq }]) { // a cursor of the app's own may be that of either
    const cut = await apps.connect({ auth: { token: shop.token('ada'), pid: app.socket._pid, offset, ...own } });
    await cut.upTo(await shop.announce('Another mark'));
    assert.deepEqual(cut.log.slice(0, 1).map(({ event, data }) => [event, data.seq]), [['order:status:update', seq]], JSON.stringify(own));
  }
});

test('auth with lastSeq: everything after it, then caught_up, and no repetition at the next connection', async () => {
  await Promise.all(Object.keys(TRANSPORTS).map(async (via) => {
    const { seq } = await shop.feed('carl', 0);
    await shop.announce('After what it read');
    const app = await apps.connect({ via, auth: { token: shop.token('carl'), lastSeq: seq } }); // constant, as apps have it
    const caught = await app.hears('caught_up');
    const at = app.told.findIndex(({ event }) => event === 'caught_up');
    assert.ok(app.told.slice(0, at).some(({ data }) => data.message === 'After what it read'));
    assert.ok(caught.seq > seq);
    const one = { user: 'carl', app, start: seq };
    await assertToldAll(one);
    app.socket.io.engine.close();
    await app.connected(2);
    assert.deepEqual(app.connects, [false, true]);
    await assertToldAll(one);
  }));
});

test('auth as a function that gives the app\'s own cursor, without an offset of the client', async () => {
  let lastSeq;
  const { seq: start } = await shop.feed('carl', 0);
  lastSeq = start;
  const told = [];
  for (let i = 0; i < 3; i++) { // an app that is started three times
    const app = apps.open({ auth: (give) => give({ token: shop.token('carl'), lastSeq }) });
    app.socket.onAny((event, data) => { if (data?.seq) lastSeq = data.seq; });
    await app.upTo(await shop.announce(`Start ${i}`));
    told.push(...app.log);
    app.end();
    await shop.announce('While it is not running');
  }
  const { items } = await shop.feed('carl', start);
  assert.deepEqual(faults(told, expected(items.slice(0, told.length))), []);
});

test('a cursor that cannot be resumed from is told by resync, with the reason', async () => {
  const { seq: newest, log } = await (await apps.connect({ auth: { token: shop.token('carl') } })).ask('register', {});
  for (const [auth, reason] of [
    [{ lastSeq: newest + 1_000_000, log }, 'ahead'],
    [{ lastSeq: newest, log: '00000000-0000-4000-8000-000000000000' }, 'different_log'],
  ]) {
    const app = await apps.connect({ auth: { token: shop.token('carl'), ...auth } });
    const resync = await app.hears('resync');
    assert.equal(resync.reason, reason);
    assert.equal(typeof resync.seq, 'number');
    assert.equal(app.socket.recovered, false);
    await assertToldAll({ user: 'carl', app, start: resync.seq });
  }
});

test('a pid that is none, or of somebody else, recovers nothing and shows nothing', async () => {
  const carl = await visitor('carl');
  await shop.as('ada', 'POST', '/notifications', { userId: 'carl', title: 'Private', message: 'For Carl', type: 'info' });
  await carl.app.hears('notification:new', ({ title }) => title === 'Private');
  for (const pid of ['nonsense', '', carl.app.socket._pid]) {
    const app = apps.open({ auth: { token: shop.token('dora'), pid, offset: '1' } });
    app.socket._pid = pid; // as if it had been given to this client
    await app.connected();
    assert.ok(!app.socket.recovered);
    const mark = await shop.announce('A mark');
    await app.upTo(mark);
    assert.deepEqual(app.log.map(({ data }) => data.seq), [mark]);
    // What cannot be read is of another server, so what the app shows is too.
    assert.deepEqual(app.of('resync').map(({ reason }) => reason), pid === 'nonsense' ? ['different_log'] : []);
  }
  for (const auth of [{ pid: 7, offset: {} }, { offset: 'x' }, { lastSeq: 'x' }, { lastSeq: -1 }, { lastSeq: 1.5 }, { log: 'x' }, { rooms: 'x' }]) {
    const app = apps.open({ auth: { token: shop.token('dora'), ...auth } });
    // Refused or let in as somebody new, but never left hanging.
    await until(() => `an answer to ${JSON.stringify(auth)}`, () => app.connects.length > 0 || app.refusals.length > 0);
    assert.ok(!app.socket.recovered);
  }
});

test('rooms are there again after a restart, and those to which the right was lost meanwhile are left', async () => {
  const carls = await shop.order('carl');
  const doras = await shop.order('dora');
  await shop.online('dave');
  await shop.online('erin');
  await shop.assign(carls, 'dave');
  await shop.assign(doras, 'erin');
  const keeps = await visitor('carl', { via: 'upgrade' });
  const loses = await visitor('dora', { via: 'polling' });
  const mark = await shop.announce('The assignments are told'); // what is before a join is not of the room
  for (const { app } of [keeps, loses]) await app.upTo(mark);
  await keeps.app.ask('join:delivery', 'dave');
  await loses.app.ask('join:delivery', 'erin');
  await keeps.app.ask('join:order', carls.id);
  for (const { road } of [keeps, loses]) road.closed = true;
  await program.kill();
  await Promise.all([keeps, loses].map(({ app }) => app.disconnected()));
  await program.start();
  await shop.cancel(doras, 'No more dough');
  for (const { road } of [keeps, loses]) road.closed = false;
  for (const { app } of [keeps, loses]) {
    await app.connected(2);
    assert.deepEqual(app.connects, [false, true]);
  }
  await loses.app.hears('left', ({ room }) => room === 'delivery:erin');
  await shop.step(carls, 'confirmed');
  await shop.cancel(carls, 'No more dough either'); // which ends the right to follow Dave
  await keeps.app.hears('left', ({ room }) => room === 'delivery:dave');
  await shop.online('dave', 'offline');
  await shop.online('erin', 'offline');
  for (const one of [keeps, loses]) {
    await assertToldAll(one); // the order's room repeats nothing that the own channel carries
    assert.deepEqual(one.app.of('delivery:status:update'), []);
  }
});
