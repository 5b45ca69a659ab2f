// Who is let in, where, and what those are told who are not.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Apps, TRANSPORTS } from '../harness/apps.js';
import { Program } from '../harness/program.js';
import { Shop } from '../harness/shop.js';
import { expected, faults } from '../harness/told.js';

let program;
let shop;
let apps;

before(async () => {
  program = await Program.begin();
  shop = await Shop.open(program, { ada: 'admin', carl: 'customer', dave: 'delivery' });
  apps = new Apps(program.url);
});

after(async () => {
  apps?.end();
  await program?.end();
});

// A token of another server, with the same claims.
const forged = (token) => {
  const [head, claims, signature] = token.split('.');
  return [head, claims, signature.split('').reverse().join('')].join('.');
};

for (const via of Object.keys(TRANSPORTS)) {
  describe(`over ${via}`, () => {
    const open = (token, more) => apps.open({ via, auth: { token }, ...more });
    const connect = (token, more) => apps.connect({ via, auth: { token }, ...more });

    test('a token is taken with Bearer and without, and from the header', async () => {
      for (const options of [
        { auth: { token: shop.token('carl') } },
        { auth: { token: `Bearer ${shop.token('carl')}` } },
        { extraHeaders: { Authorization: `Bearer ${shop.token('carl')}` } },
      ]) {
        const app = await apps.connect({ via, ...options });
        assert.equal((await app.ask('register', {})).userId, 'carl');
      }
    });

    test('a wrong token is refused, and the app is told why', async () => {
      for (const token of ['nonsense', forged(shop.token('carl')), `Bearer ${forged(shop.token('ada'))}`]) {
        const err = await open(token).refused();
        assert.equal(err.data?.code, 'unauthenticated', err.message);
        assert.ok(err.message.length > 0);
      }
    });

    test('an expired token is refused with a code of its own', async () => {
      const err = await open(await program.token('carl', 'customer', { ttl: '1ms' })).refused();
      assert.equal(err.data?.code, 'token_expired');
    });

    test('after a refusal the app connects with a better token', async () => {
      const app = open('nonsense');
      await app.refused();
      app.socket.auth = { token: shop.token('carl') };
      app.socket.connect();
      await app.connected();
      assert.equal((await app.ask('register', {})).userId, 'carl');
    });

    test('without a token an app is let in, and told only what all are told', async () => {
      for (const auth of [undefined, {}, { token: '' }, { token: null }]) {
        const app = await apps.connect({ via, auth });
        const said = await app.ask('register', { userId: 'carl', role: 'customer' });
        assert.equal(said.role ?? null, null, 'what an app says of itself grants nothing');
        assert.deepEqual(said.channels, ['all']);
        await shop.order('carl');
        const mark = await shop.announce('For all');
        await app.upTo(mark);
        assert.deepEqual(app.log.map(({ event }) => event), ['business:status:update']);
        app.end();
      }
    });

    for (const [role, user, others] of [['admin', 'ada', ['carl', 'dave']], ['delivery', 'dave', ['ada', 'carl']], ['customer', 'carl', ['ada', 'dave']]]) {
      test(`the namespace /${role} is for that role`, async () => {
        const app = await connect(shop.token(user), { namespace: `/${role}` });
        assert.equal((await app.ask('register', {})).role, role);
        for (const other of others) {
          const err = await open(shop.token(other), { namespace: `/${role}` }).refused();
          assert.equal(err.data?.code, 'forbidden');
        }
        const err = await apps.open({ via, namespace: `/${role}` }).refused();
        assert.equal(err.data?.code, 'unauthenticated');
      });
    }

    test('a namespace that is not there is refused as the client knows it', async () => {
      assert.equal((await open(shop.token('ada'), { namespace: '/kitchen' }).refused()).message, 'Invalid namespace');
    });
  });
}

test('namespaces share a connection, and each tells what is its user\'s', async () => {
  const main = await apps.connect({ auth: { token: shop.token('ada') }, forceNew: false, multiplex: true });
  const admin = await apps.connect({ namespace: '/admin', auth: { token: shop.token('ada') }, forceNew: false });
  const refused = await apps.open({ namespace: '/delivery', auth: { token: shop.token('ada') }, forceNew: false }).refused();
  assert.equal(refused.data?.code, 'forbidden');
  assert.equal(main.socket.io, admin.socket.io);
  assert.notEqual(main.socket.id, admin.socket.id);
  const start = Math.max((await main.ask('register', {})).seq, (await admin.ask('register', {})).seq);
  await shop.step(await shop.order('carl'), 'confirmed');
  const mark = await shop.announce('A mark');
  const wanted = expected((await shop.feed('ada', start)).items, { changed: true });
  for (const app of [main, admin]) {
    await app.upTo(mark);
    assert.deepEqual(faults(app.log.filter(({ data }) => data.seq > start), wanted), []);
  }
  admin.end();
  await shop.announce('Another');
  await main.upTo(shop.api.newest); // leaving one namespace leaves the other
  main.socket.io.engine.close();
  await main.connected(2);
  assert.deepEqual(main.connects, [false, true]);
});

test('a token that expires costs the connection; the next one comes from auth, and nothing was missed', async () => {
  await Promise.all(Object.keys(TRANSPORTS).map(async (via) => {
    let asked = 0;
    const short = await program.token('carl', 'customer', { ttl: '3s' });
    const app = await apps.connect({
      via, auth: (give) => give({ token: asked++ === 0 ? short : shop.token('carl') }),
    });
    const { seq: start } = await app.ask('register', {});
    await app.disconnected();
    assert.equal(app.of('error').at(-1)?.code, 'token_expired');
    assert.match(app.disconnects[0], /^transport (close|error)$/); // after which the client comes back
    const mark = await shop.announce('While it was away, perhaps');
    await app.connected(2);
    assert.deepEqual(app.connects, [false, true]);
    assert.equal(asked, 2);
    await app.upTo(mark);
    const { items } = await shop.feed('carl', start);
    const upTo = app.log.at(-1).data.seq; // the others' announcements go on
    assert.deepEqual(faults(app.log, expected(items.filter(({ seq }) => seq <= upTo))), []);
  }));
});

test('browsers: the allowed origin may connect with credentials, another may not', async () => {
  const ask = (origin) => fetch(`${program.url}/socket.io/?EIO=4&transport=polling`, { headers: { Origin: origin } });
  const allowed = await ask('http://localhost:3000');
  assert.equal(allowed.status, 200);
  assert.equal(allowed.headers.get('access-control-allow-origin'), 'http://localhost:3000');
  assert.equal(allowed.headers.get('access-control-allow-credentials'), 'true');
  await allowed.text();
  const other = await ask('https://evil.example');
  assert.equal(other.status, 403);
  assert.equal(other.headers.get('access-control-allow-origin'), null);
  await other.text();
  for (const via of Object.keys(TRANSPORTS)) {
    await apps.connect({ via, extraHeaders: { Origin: 'http://localhost:3000' } });
    const evil = apps.open({ via, reconnection: false, extraHeaders: { Origin: 'https://evil.example' } });
    const err = await new Promise((resolve) => evil.socket.once('connect_error', resolve));
    assert.match(err.message, /xhr poll error|websocket error/);
  }
});
