// Server-sent events, by an EventSource.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Program } from '../harness/program.js';
import { Proxy } from '../harness/proxy.js';
import { Shop } from '../harness/shop.js';
import { Stream } from '../harness/streams.js';
import { expected, faults } from '../harness/told.js';

let program;
let shop;
const ends = [];

before(async () => {
  program = await Program.begin();
  shop = await Shop.open(program, { ada: 'admin', carl: 'customer', dora: 'customer', dave: 'delivery' });
});

after(async () => {
  for (const one of ends) await one.end();
  await program?.end();
});

function listen(options, url = program.url) {
  const stream = new Stream(url, options);
  ends.unshift(stream); // before the roads that they use
  return stream;
}

async function road() {
  const proxy = await Proxy.to(program.port);
  ends.push(proxy);
  return proxy;
}

const ticketOf = (user) => shop.as(user, 'POST', '/events/ticket');

async function assertToldAll(stream, user, start) {
  const mark = await shop.announce('A mark');
  await stream.upTo(mark);
  const { items } = await shop.feed(user, start);
  assert.deepEqual(faults(stream.log.filter(({ data }) => data.seq <= mark), expected(items.filter(({ seq }) => seq <= mark))), []);
  for (const { data, id } of stream.log) assert.equal(id, String(data.seq), 'the id is the seq');
}

test('with a token in the header: registered, then what happens, for those it is for', async () => {
  const streams = Object.fromEntries(['ada', 'carl', 'dora', 'dave'].map((user) => [user, listen({ token: shop.token(user) })]));
  const starts = {};
  for (const [user, stream] of Object.entries(streams)) {
    const registered = await stream.hears('registered');
    assert.equal(registered.userId, user);
    starts[user] = registered.seq;
  }
  await shop.step(await shop.order('carl'), 'confirmed');
  for (const [user, stream] of Object.entries(streams)) await assertToldAll(stream, user, starts[user]);
  assert.ok(streams.carl.of('order:status:update').length === 1);
  assert.ok(streams.dora.of('order:status:update').length === 0);
});

test('lastSeq in the address: everything after it, then caught_up', async () => {
  const stream = listen({ token: shop.token('carl'), query: 'lastSeq=0' });
  await stream.hears('caught_up');
  await assertToldAll(stream, 'carl', 0);
});

test('a stream that was cut comes back with Last-Event-ID, also when it was told nothing before', async () => {
  const told = await road();
  const untold = await road();
  const some = listen({ token: shop.token('ada') }, told.url);
  const none = listen({ token: shop.token('dave') }, untold.url);
  const starts = [(await some.hears('registered')).seq];
  await some.upTo(await shop.announce('Something'));
  starts.push((await none.hears('registered')).seq);
  if (none.log.length > 0) starts[1] = none.log[0].data.seq - 1;
  for (const one of [told, untold]) {
    one.closed = true;
    one.cut();
  }
  await shop.order('carl');
  for (const one of [told, untold]) one.closed = false;
  await Promise.all([some.connected(2), none.connected(2)]);
  await assertToldAll(some, 'ada', starts[0]);
  await assertToldAll(none, 'dave', starts[1]);
});

test('a stream comes back to a server that was killed and started again', async () => {
  const stream = listen({ token: shop.token('carl') });
  const { seq: start } = await stream.hears('registered');
  await stream.upTo(await shop.announce('Before'));
  await program.kill();
  await program.start();
  await shop.announce('While it was away, perhaps');
  await stream.connected(2);
  await assertToldAll(stream, 'carl', start);
});

test('a ticket opens one stream, once', async () => {
  const { ticket, expiresAt } = await ticketOf('carl');
  assert.ok(new Date(expiresAt) > new Date());
  const first = listen({ query: `ticket=${encodeURIComponent(ticket)}` });
  assert.equal((await first.hears('registered')).userId, 'carl');
  const second = listen({ query: `ticket=${encodeURIComponent(ticket)}` });
  assert.equal(await second.refused(), 401);
  await first.upTo(await shop.announce('The first goes on'));
});

test('after a cut, a stream opened by a ticket goes on with a new ticket and lastSeq', async () => {
  const way = await road();
  const first = listen({ query: `ticket=${(await ticketOf('carl')).ticket}` }, way.url);
  const { seq: start } = await first.hears('registered');
  await first.upTo(await shop.announce('Before the cut'));
  way.cut();
  await first.refused(); // its ticket was good once
  await shop.announce('Meanwhile');
  const second = listen({ query: `ticket=${(await ticketOf('carl')).ticket}&lastSeq=${first.told.at(-1).id}` }, way.url);
  second.told.push(...first.told);
  await assertToldAll(second, 'carl', start);
});

test('Last-Event-ID wins over lastSeq of the address', async () => {
  const mark = await shop.announce('Seen already');
  const stream = listen({ token: shop.token('carl'), query: 'lastSeq=0', headers: { 'Last-Event-ID': String(mark) } });
  await stream.hears('registered');
  await assertToldAll(stream, 'carl', mark);
});

test('loss is told in the stream', async () => {
  const { seq } = await shop.feed('carl', 0);
  for (const [query, reason] of [[`lastSeq=${seq + 1_000_000}`, 'ahead'], [`lastSeq=1&log=00000000-0000-4000-8000-000000000000`, 'different_log']]) {
    const stream = listen({ token: shop.token('carl'), query });
    const resync = await stream.hears('resync');
    assert.equal(resync.reason, reason);
    await assertToldAll(stream, 'carl', resync.seq);
  }
});

test('rooms are asked for in the address; those that one may not have are told', async () => {
  const order = await shop.order('carl');
  await shop.online('dave');
  await shop.assign(order, 'dave');
  const earlier = listen({ token: shop.token('carl') });
  await earlier.upTo(await shop.announce('The assignment is told')); // and is not of the room any more
  const stream = listen({ token: shop.token('carl'), query: `room=order:${order.id}&room=delivery:dave&room=delivery:erin` });
  const registered = await stream.hears('registered');
  assert.ok(registered.channels.includes(`order:${order.id}`) && registered.channels.includes('delivery:dave'));
  assert.deepEqual(registered.refused, ['delivery:erin']);
  await shop.cancel(order, 'Enough');
  await stream.hears('left', ({ room }) => room === 'delivery:dave');
  await assertToldAll(stream, 'carl', registered.seq);
});

test('who has no token, or a wrong one, is not let in', async () => {
  for (const options of [{}, { token: 'nonsense' }, { query: 'ticket=nonsense' }]) {
    assert.equal(await listen(options).refused(), 401);
  }
});

test('a token that expires ends the stream, after saying so', async () => {
  const stream = listen({ token: await program.token('carl', 'customer', { ttl: '2s' }) });
  const said = await stream.hears('error');
  assert.equal(said.code, 'token_expired');
  assert.equal(await stream.refused(), 401); // it comes back by itself with the same token, and is not let in
});
