// Streams: an EventSource that notes all it is told.

import { EventSource } from 'eventsource';

import { CHANGED, LOG_EVENTS, fromLog } from './told.js';
import { until } from './until.js';

const BESIDE = ['registered', 'caught_up', 'checkpoint', 'resync', 'left', 'reconnect', CHANGED];

export class Stream {
  told = []; // {event, data, id}
  opened = 0;
  failures = []; // the status of answers after which the client does not come back

  /** token goes into the header, through the client's own way of doing that; query is what follows the ?. */
  constructor(url, { token, query = '', headers = {} } = {}) {
    const own = { ...headers, ...(token && { Authorization: `Bearer ${token}` }) };
    this.source = new EventSource(`${url}/api/v1/events${query && `?${query}`}`, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...own } }),
    });
    this.source.addEventListener('open', () => { this.opened++; });
    this.source.addEventListener('error', (event) => {
      if (event.data !== undefined) this.#note(event); // an event of that name by the server
      else if (this.source.readyState === EventSource.CLOSED) this.failures.push(event.code);
    });
    for (const event of [...LOG_EVENTS, ...BESIDE, 'message']) this.source.addEventListener(event, this.#note);
  }

  #note = ({ type, data, lastEventId }) => this.told.push({ event: type, data: JSON.parse(data), id: lastEventId });

  get log() {
    return this.told.filter(fromLog);
  }

  of(event) {
    return this.told.filter((one) => one.event === event).map((one) => one.data);
  }

  connected = (times = 1) => until(() => `${times} openings; ${this.#describe()}`, () => this.opened >= times && this.source.readyState === EventSource.OPEN);

  hears = (event, wanted = () => true) => until(() => `${event}; ${this.#describe()}`, () => this.of(event).find(wanted));

  upTo = (seq) => until(() => `seq ${seq}; ${this.#describe()}`, () => this.told.some((one) => fromLog(one) && one.data.seq === seq));

  refused = () => until(() => `a refusal; ${this.#describe()}`, () => this.failures[0]);

  end() {
    this.source.close();
  }

  #describe() {
    return JSON.stringify({
      state: this.source.readyState, opened: this.opened, failures: this.failures, last: this.told.slice(-3),
    });
  }
}
