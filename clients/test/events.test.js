// Every event reaches those it is for, once, and nobody else.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Apps, TRANSPORTS } from '../harness/apps.js';
import { Program } from '../harness/program.js';
import { Shop } from '../harness/shop.js';
import { CHANGED, expected, faults } from '../harness/told.js';
import { until } from '../harness/until.js';

const USERS = {
  ada: 'admin', abel: 'admin', carl: 'customer', dora: 'customer', dave: 'delivery', erin: 'delivery',
};

let program;
let shop;
let apps;
let crowd; // {name: app}: everybody by each transport, carl with a second phone, and somebody without a token

before(async () => {
  program = await Program.begin();
  shop = await Shop.open(program, USERS);
  apps = new Apps(program.url);
  crowd = {};
  const ways = Object.keys(TRANSPORTS);
  await Promise.all(ways.map(async (via) => {
    for (const user of Object.keys(USERS)) {
      crowd[`${user} ${via}`] = await apps.connect({ via, auth: { token: shop.token(user) } });
    }
    crowd[`carl again ${via}`] = await apps.connect({ via, auth: { token: shop.token('carl') } });
    crowd[`nobody ${via}`] = await apps.connect({ via });
  }));
});

after(async () => {
  apps?.end();
  await program?.end();
});

const WITHOUT_SEQ = new Set(['checkpoint', 'left']); // what is told beside the log

// toldOf does something and says who was told of what because of it: {event: [names without transport]}, each by all
// transports, once. The mark after it bounds the wait: whoever was told of the mark was told of all before it.
async function toldOf(act, { reactions = 0 } = {}) {
  await marked(); // what was done before is told by now
  const from = Object.fromEntries(Object.entries(crowd).map(([name, app]) => [name, app.told.length]));
  await act();
  if (reactions > 0) await inbox(reactions);
  const mark = await marked();
  const who = {};
  for (const [name, app] of Object.entries(crowd)) {
    const told = app.told.slice(from[name]).filter(({ event, data }) => data?.seq !== mark && !WITHOUT_SEQ.has(event));
    const once = new Set();
    for (const { event, data } of told) {
      assert.equal(typeof data.seq, 'number', `${event} has its seq`);
      assert.ok(!once.has(`${event} ${data.seq}`), `${name} was told of ${event} ${data.seq} once`);
      once.add(`${event} ${data.seq}`);
      (who[event] ??= new Map()).set(name, data);
    }
  }
  return who;
}

async function marked() {
  const mark = await shop.announce('A mark');
  await Promise.all(Object.values(crowd).map((app) => app.upTo(mark)));
  return mark;
}

// What the program does because of an event comes a moment later: an entry in the customer's inbox.
let entries = 0;
async function inbox(more) {
  entries += more;
  await until(`${entries} entries in the inbox of carl`, async () => {
    const { items } = await shop.api.get(shop.token('carl'), '/notifications?limit=200');
    return items.length >= entries;
  });
}

function receivers(who, event) {
  const users = [...(who[event]?.keys() ?? [])].map((name) => name.slice(0, name.lastIndexOf(' ')));
  for (const user of new Set(users)) {
    assert.equal(users.filter((one) => one === user).length, Object.keys(TRANSPORTS).length, `${user} was told of ${event} by each transport`);
  }
  return [...new Set(users)].sort();
}

// check compares who was told with who has to be: {event: [users]}, and the payload with its members.
function check(who, wanted, members = {}) {
  const got = Object.fromEntries(Object.keys(who).map((event) => [event, receivers(who, event)]));
  for (const list of Object.values(wanted)) list.sort();
  assert.deepEqual(got, wanted);
  for (const [event, some] of Object.entries(members)) {
    const payloads = [...who[event].values()];
    for (const data of payloads) assert.deepEqual(data, payloads[0], `${event} is the same for all`);
    for (const [name, value] of Object.entries(some)) {
      assert.ok(name in payloads[0], `${event} has ${name}`);
      if (value !== undefined) assert.deepEqual(payloads[0][name], value, `${name} of ${event}`);
    }
  }
}

const ADMINS = ['ada', 'abel'];
const CARL = ['carl', 'carl again'];
const CUSTOMERS = [...CARL, 'dora'];
const EVERYBODY = [...ADMINS, ...CUSTOMERS, 'dave', 'erin', 'nobody'];
const any = undefined;

test('business:status:update is for all, also without a token', async () => {
  const who = await toldOf(() => shop.announce('Closed for a moment', false));
  check(who, { 'business:status:update': [...EVERYBODY] }, {
    'business:status:update': { isOpen: false, businessName: any, message: 'Closed for a moment' },
  });
});

let order;
test('order:new is for admins and couriers', async () => {
  const who = await toldOf(async () => { order = await shop.order('carl', { customerName: 'Carl the Great' }); }, { reactions: 1 });
  check(who, { 'order:new': [...ADMINS, 'dave', 'erin'], 'notification:new': [...CARL] }, {
    'order:new': {
      orderId: order.id, orderNumber: order.orderNumber, customerName: 'Carl the Great', items: any, totalAmount: order.totalAmount,
    },
    'notification:new': { id: any, title: any, message: any, type: any },
  });
});

test('order:status:update is for the customer and admins, who get order:status:changed beside it, first', async () => {
  const who = await toldOf(() => shop.step(order, 'confirmed'), { reactions: 1 });
  check(who, { [CHANGED]: [...ADMINS], 'order:status:update': [...ADMINS, ...CARL], 'notification:new': [...CARL] }, {
    'order:status:update': { orderId: order.id, orderNumber: order.orderNumber, status: 'confirmed', message: any },
    [CHANGED]: { orderId: order.id, orderNumber: order.orderNumber, status: 'confirmed', message: any },
  });
  for (const via of Object.keys(TRANSPORTS)) {
    const pair = crowd[`ada ${via}`].told.filter(({ data }) => data?.orderId === order.id).slice(-2);
    assert.deepEqual(pair.map(({ event }) => event), [CHANGED, 'order:status:update']);
    assert.deepEqual(pair[0].data, pair[1].data);
  }
});

test('delivery:status:update is for admins', async () => {
  const who = await toldOf(() => shop.online('dave'));
  check(who, { 'delivery:status:update': [...ADMINS] }, {
    'delivery:status:update': { deliveryBoyId: 'dave', status: 'online', currentOrder: null },
  });
});

test('order:assigned is for the courier, admins and the customer', async () => {
  const who = await toldOf(() => shop.assign(order, 'dave'), { reactions: 1 });
  check(who, {
    'order:assigned': [...ADMINS, ...CARL, 'dave'], 'delivery:status:update': [...ADMINS], 'notification:new': [...CARL],
  }, {
    'order:assigned': { orderId: order.id, orderNumber: order.orderNumber, agentId: 'dave' },
    'delivery:status:update': { deliveryBoyId: 'dave', status: 'busy', currentOrder: order.id },
  });
});

test('with a courier, order:status:update is for the courier as well', async () => {
  const steps = ['preparing', 'ready'];
  for (const status of steps) {
    const who = await toldOf(() => shop.step(order, status), { reactions: 1 });
    check(who, { [CHANGED]: [...ADMINS], 'order:status:update': [...ADMINS, ...CARL, 'dave'], 'notification:new': [...CARL] });
  }
});

test('delivery:location:update, sent as the seed\'s app does, is for the customer and admins', async () => {
  const who = await toldOf(async () => {
    await shop.step(order, 'out_for_delivery', 'dave');
    const kept = await crowd['dave polling'].ask('delivery:location', {
      orderId: order.id, latitude: 45.07, longitude: 7.69, speed: null, heading: 90,
    });
    assert.equal(kept.kept, true);
    assert.equal(kept.orderId, order.id);
    const tooSoon = await crowd['dave websocket'].ask('delivery:location', { orderId: order.id, latitude: 45.08, longitude: 7.69 });
    assert.equal(tooSoon.kept, false, 'one a second is kept');
  }, { reactions: 1 });
  check(who, {
    [CHANGED]: [...ADMINS], 'order:status:update': [...ADMINS, ...CARL, 'dave'], 'notification:new': [...CARL],
    'delivery:location:update': [...ADMINS, ...CARL],
  }, {
    'delivery:location:update': { orderId: order.id, location: { lat: 45.07, lng: 7.69 } },
  });
});

test('payment:received is for admins and the customer', async () => {
  const who = await toldOf(async () => {
    const payment = await shop.pay(order, 'cod', 'carl');
    await shop.collect(payment, 'dave');
  }, { reactions: 1 });
  check(who, { 'payment:received': [...ADMINS, ...CARL], 'notification:new': [...CARL] }, {
    'payment:received': { orderId: order.id, paymentId: any, amount: order.totalAmount, paymentMethod: 'cod' },
  });
});

test('payment:failed and payment:refunded are for admins and the customer', async () => {
  let payment;
  const second = await shop.order('carl', { paymentMethod: 'card' });
  entries++;
  const failed = await toldOf(async () => {
    payment = await shop.pay(second, 'card', 'carl');
    await shop.api.provider('payment.failed', payment);
  }, { reactions: 1 });
  assert.deepEqual(receivers(failed, 'payment:failed'), [...ADMINS, ...CARL].sort());
  const refunded = await toldOf(async () => {
    payment = await shop.pay(second, 'card', 'carl');
    await shop.api.provider('payment.captured', payment);
    await shop.refund(payment, 'Too late', 500);
  }, { reactions: 2 });
  check(refunded, {
    'payment:received': [...ADMINS, ...CARL], 'payment:refunded': [...ADMINS, ...CARL], 'notification:new': [...CARL],
  }, {
    'payment:refunded': { orderId: second.id, paymentId: payment.id, amount: 500, paymentMethod: 'card' },
  });
});

test('order:cancelled is for the customer, admins and the courier', async () => {
  await shop.online('erin');
  const third = await shop.order('carl');
  await shop.assign(third, 'erin');
  entries += 2;
  const who = await toldOf(() => shop.cancel(third, 'The oven broke'), { reactions: 1 });
  assert.deepEqual(receivers(who, 'order:cancelled'), [...ADMINS, ...CARL, 'erin'].sort());
  check({ 'order:cancelled': who['order:cancelled'] }, { 'order:cancelled': [...ADMINS, ...CARL, 'erin'] }, {
    'order:cancelled': { orderId: third.id, orderNumber: third.orderNumber, reason: 'The oven broke' },
  });
});

test('notification:new is for one user', async () => {
  const who = await toldOf(() => shop.as('ada', 'POST', '/notifications', { userId: 'dora', title: 'Hello', message: 'For you', type: 'info' }));
  check(who, { 'notification:new': ['dora'] }, {
    'notification:new': { id: any, title: 'Hello', message: 'For you', type: 'info' },
  });
});

test('offer:new, offer:updated and offer:withdrawn are for customers and admins', async () => {
  const who = await toldOf(async () => {
    await shop.as('ada', 'POST', '/offers', { code: 'PIZZA10', description: 'A tenth off', discountType: 'percent', discountValue: 10 });
    await shop.as('ada', 'PATCH', '/offers/PIZZA10', { description: 'A tenth off, tonight' });
    await shop.as('ada', 'DELETE', '/offers/PIZZA10');
  });
  check(who, {
    'offer:new': [...CUSTOMERS, ...ADMINS], 'offer:updated': [...CUSTOMERS, ...ADMINS], 'offer:withdrawn': [...CUSTOMERS, ...ADMINS],
  }, {
    'offer:new': { code: 'PIZZA10', description: 'A tenth off', discountValue: 10 },
    'offer:updated': { code: 'PIZZA10', description: 'A tenth off, tonight', discountValue: 10 },
    'offer:withdrawn': { code: 'PIZZA10' },
  });
});

test('in a room one is told of what the room carries, and once of what another channel carries too', async () => {
  const via = 'polling';
  const fourth = await shop.order('dora');
  await shop.step(order, 'delivered', 'dave'); // so that he is free
  await shop.assign(fourth, 'dave');
  await crowd[`dora ${via}`].ask('join:order', fourth.id); // her own channel has all of it already
  await crowd[`dora ${via}`].ask('join:delivery', 'dave'); // her courier's status is only in this room
  await crowd[`ada ${via}`].ask('join:order', fourth.id);
  const who = await toldOf(() => shop.step(fourth, 'confirmed'));
  assert.deepEqual(receivers(who, 'order:status:update'), [...ADMINS, 'dora', 'dave'].sort());
  const status = await toldOf(() => shop.cancel(fourth, 'Changed her mind', 'dora'));
  assert.deepEqual([...status['delivery:status:update'].keys()].filter((name) => name.startsWith('dora')), [],
    'what ends her right to the room is not told through the room');
  await crowd[`dora ${via}`].hears('left', ({ room }) => room === 'delivery:dave');
});

test('all that everybody was told is what the feed has, under the names and with the data of it', async () => {
  await marked();
  for (const [name, app] of Object.entries(crowd)) {
    const user = name.split(' ')[0];
    if (user === 'nobody') continue;
    const first = app.log[0].data.seq;
    const { items } = await shop.feed(user, first - 1);
    const wanted = expected(items, { changed: USERS[user] === 'admin' });
    const told = app.log.filter(({ data }) => wanted.some(({ seq }) => seq === data.seq));
    assert.deepEqual(faults(told, wanted), [], name);
  }
});
