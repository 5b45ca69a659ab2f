// The judge of all other tests has to be able to find every kind of fault.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { expected, faults } from '../harness/told.js';

const feed = [
  { seq: 3, event: 'order:new', data: { orderId: 'a' } },
  { seq: 4, event: 'order:status:update', data: { orderId: 'a', status: 'confirmed' } },
  { seq: 9, event: 'business:status:update', data: { isOpen: true } },
];
const wanted = expected(feed, { changed: true });
const asWanted = () => wanted.map(({ event, data }) => ({ event, data: { ...data } }));

test('an admin is told of a status under two names, the payload has the seq added', () => {
  assert.deepEqual(wanted.map((one) => `${one.event} ${one.data.seq}`), [
    'order:new 3', 'order:status:changed 4', 'order:status:update 4', 'business:status:update 9',
  ]);
  assert.deepEqual(expected(feed).map((one) => one.seq), [3, 4, 9]);
});

test('what is as it should be has no faults', () => {
  assert.deepEqual(faults(asWanted(), wanted), []);
});

for (const [name, spoil, fault] of [
  ['a missing event', (told) => told.filter((_, i) => i !== 1), /^missing: order:status:changed 4$/],
  ['the last one missing', (told) => told.slice(0, -1), /^missing: business:status:update 9$/],
  ['everything missing', () => [], /^missing: order:new 3$/],
  ['a repeated event', (told) => [...told, told[0]], /^repeated: order:new 3$/],
  ['two events in the wrong order', (told) => [told[0], told[2], told[1], told[3]], /^out of order: order:status:changed 4 came after order:status:update 4$/],
  ['an event of somebody else', (told) => [...told, { event: 'order:new', data: { seq: 8 } }], /^strange: order:new 8$/],
  ['an event without its seq', (told) => [{ event: 'order:new', data: { orderId: 'a' } }, ...told.slice(1)], /^strange: order:new undefined$/],
  ['an event under another name', (told) => [{ ...told[0], event: 'order:cancelled' }, ...told.slice(1)], /^strange: order:cancelled 3$/],
  ['another payload', (told) => [...told.slice(0, 3), { ...told[3], data: { isOpen: false, seq: 9 } }], /^changed: business:status:update 9 was told as/],
]) {
  test(`the judge finds ${name}`, () => {
    assert.match(faults(spoil(asWanted()), wanted)[0], fault);
  });
}
