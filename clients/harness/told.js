// What a client was told, held against what GET /api/v1/feed says is its own.

import { isDeepStrictEqual } from 'node:util';

/** LOG_EVENTS are the events of the contract's section 4: those that have a place in the log. */
export const LOG_EVENTS = new Set([
  'business:status:update', 'order:new', 'order:status:update', 'order:assigned', 'order:cancelled',
  'delivery:status:update', 'delivery:location:update', 'payment:received', 'payment:failed', 'payment:refunded',
  'notification:new', 'offer:new', 'offer:updated', 'offer:withdrawn',
]);

/** The seed's admins listened for this one; over Socket.IO they get it beside order:status:update. */
export const CHANGED = 'order:status:changed';

/** fromLog says whether something that a client was told is of the log. */
export const fromLog = ({ event }) => LOG_EVENTS.has(event) || event === CHANGED;

/**
 * expected is what a client has to be told, in order, for these items of its feed. changed: it is an admin's over
 * Socket.IO, for whom each status comes under two names.
 */
export function expected(items, { changed = false } = {}) {
  return items.flatMap(({ seq, event, data }) => {
    const one = { event, seq, data: { ...data, seq } };
    return changed && event === 'order:status:update' ? [{ ...one, event: CHANGED }, one] : [one];
  });
}

/**
 * faults compares what was told, [{event, data}] in the order in which it came, with what was expected: everything, once,
 * in order, and nothing else. It returns a sentence for each fault; none is as it should be.
 */
export function faults(told, wanted) {
  const found = [];
  const key = (event, seq) => `${event} ${seq}`;
  const due = new Map(wanted.map((one, place) => [key(one.event, one.seq), { ...one, place, times: 0 }]));
  let furthest = -1;
  for (const { event, data } of told) {
    const name = key(event, data?.seq);
    const one = due.get(name);
    if (!one) {
      found.push(`strange: ${name}`);
      continue;
    }
    one.times++;
    if (one.times > 1) found.push(`repeated: ${name}`);
    else if (one.place < furthest) found.push(`out of order: ${name} came after ${key(wanted[furthest].event, wanted[furthest].seq)}`);
    furthest = Math.max(furthest, one.place);
    if (!isDeepStrictEqual(data, one.data)) {
      found.push(`changed: ${name} was told as ${JSON.stringify(data)} and is ${JSON.stringify(one.data)}`);
    }
  }
  for (const [name, one] of due) if (one.times === 0) found.push(`missing: ${name}`);
  return found;
}
