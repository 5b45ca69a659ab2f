// 100 clients of all transports of Socket.IO, cut 1,000 times at random while orders flow and the server is stopped or killed five
// times: afterwards each has been told of exactly what is its own, in order, once, and was recovered every time. With them
// are some streams of server-sent events, which are cut as well.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { TRANSPORTS } from '../harness/apps.js';
import { chance } from '../harness/chance.js';
import { Evening } from '../harness/evening.js';
import { CURSORS, Phone } from '../harness/phone.js';
import { Program } from '../harness/program.js';
import { Radio } from '../harness/radio.js';
import { Shop } from '../harness/shop.js';
import { faults } from '../harness/told.js';
import { until } from '../harness/until.js';

const CLIENTS = 100;
const CUTS = 10; // of each client
const STREAM_CUTS = 5; // of each stream, which comes back more slowly
const STREAMS = 6;
const ORDERS = 30; // at least
const BETWEEN = 2000; // ms between two cuts of one, at most
const RESTARTS = ['stop', 'kill', 'stop', 'kill', 'kill'];
const PATIENCE = 60_000; // ms until the last client is told of the last event; a heartbeat may have to fail first

let program;
let shop;
const phones = [];
const radios = [];

before(async () => {
  program = await Program.begin();
  const users = { ada: 'admin', abel: 'admin' };
  for (let i = 0; i < 12; i++) users[`customer-${i}`] = 'customer';
  for (let i = 0; i < 6; i++) users[`courier-${i}`] = 'delivery';
  shop = await Shop.open(program, users);

  // Every user has several phones, of all transports and all ways to know where one was.
  const names = Object.keys(users);
  const ways = Object.keys(TRANSPORTS).flatMap((via) => Object.keys(CURSORS).map((cursor) => ({ via, cursor })));
  const { seq: start } = await shop.feed('ada', 0);
  for (let i = 0; i < CLIENTS; i++) {
    const user = names[i % names.length];
    phones.push(new Phone({ user, role: users[user], token: shop.token(user), start, ...ways[(i + Math.floor(i / names.length)) % ways.length] }));
  }
  for (let i = 0; i < STREAMS; i++) {
    const user = names[i * 4 % names.length];
    radios.push(new Radio({ user, role: users[user], token: shop.token(user) }));
  }
  await Promise.all([...phones, ...radios].map((one) => one.begin(program.port)));
});

after(async () => {
  await Promise.all([...phones, ...radios].map((one) => one.end()));
  await program?.end();
});

test('nothing is missing, repeated, out of order or strange, and everybody is recovered each time', async (t) => {
  const seed = Number(process.env.STORM_SEED ?? Date.now() % 1e9);
  t.diagnostic(`STORM_SEED=${seed}`);
  const random = chance(seed);
  const couriers = [...shop.tokens.keys()].filter((user) => user.startsWith('courier'));
  const customers = [...shop.tokens.keys()].filter((user) => user.startsWith('customer'));
  const evening = new Evening(shop, { customers, couriers, pace: 120, random: random.fork() });

  const all = [...phones, ...radios];
  const suffering = Promise.all(all.map((one) => one.suffer(radios.includes(one) ? STREAM_CUTS : CUTS, BETWEEN, random.fork())));
  suffering.catch(() => {}); // told when it is awaited
  const cuts = () => phones.reduce((sum, phone) => sum + phone.cuts, 0);
  for (const [i, end] of RESTARTS.entries()) {
    const due = ((i + 1) * CLIENTS * CUTS) / (RESTARTS.length + 1);
    await until(() => `${due} cuts; there were ${cuts()}`, () => {
      assert.deepEqual(all.map(({ lost }) => lost).filter(Boolean), []);
      return cuts() >= due;
    }, PATIENCE);
    await program[end]();
    await program.start();
  }
  await suffering;
  await until(() => `${ORDERS} orders; there were ${evening.orders}`, () => evening.orders >= ORDERS, PATIENCE); // on a slow machine
  await evening.close();

  // Two marks: who was told of the first was told of all before it, and who was told of the second would have been told
  // again by now of what was repeated.
  await shop.announce('The evening is over');
  const last = await shop.announce('Good night');
  await Promise.all(all.map((one) => one.upTo(last, PATIENCE)));

  const found = [];
  const count = { returns: 0, events: 0 };
  for (const one of all) {
    const { items } = await shop.feed(one.user, one.start);
    found.push(...[...one.wrong, ...faults(one.log, one.wanted(items))].map((fault) => `${one.name}: ${fault}`));
    count.returns += one.returns;
    count.events += one.log.length;
  }
  t.diagnostic(`${CLIENTS} clients and ${STREAMS} streams, ${cuts()} cuts, ${RESTARTS.length} restarts, ${evening.orders} orders, ` +
    `${count.returns} times back, ${count.events} events told, ${found.length} faults`);
  assert.deepEqual(found.slice(0, 20), []);
  assert.equal(cuts(), CLIENTS * CUTS);
  assert.ok(count.events > 50 * CLIENTS && count.returns > 2 * CLIENTS, 'there was something to be missed');
});
