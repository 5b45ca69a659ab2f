// Apps: unmodified socket.io clients that note all they are told.

import { io } from 'socket.io-client';

import { fromLog } from './told.js';
import { until } from './until.js';

/** TRANSPORTS are the ways in which an app may connect. */
export const TRANSPORTS = {
  polling: ['polling'],
  websocket: ['websocket'],
  upgrade: ['polling', 'websocket'],
};

export class App {
  told = []; // {event, data, args} of all events, in the order in which they came
  connects = []; // for each connection: whether it was recovered
  disconnects = []; // the reasons
  refusals = []; // connect_error by the server, which ends the client's own attempts

  constructor(url, options) {
    this.socket = io(url, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 500, ...options });
    this.socket.onAny((event, ...args) => this.told.push({ event, data: args[0], args }));
    this.socket.on('connect', () => this.connects.push(this.socket.recovered));
    this.socket.on('disconnect', (reason) => this.disconnects.push(reason));
    this.socket.on('connect_error', (err) => {
      if (!this.socket.active) this.refusals.push(err);
    });
  }

  /** log is what it was told of the log. */
  get log() {
    return this.told.filter(fromLog);
  }

  /** of gives the payloads of an event. */
  of(event) {
    return this.told.filter((one) => one.event === event).map((one) => one.data);
  }

  connected = (times = 1) => until(() => `${times} connections; ${this.#describe()}`, () => this.connects.length >= times && this.socket.connected);

  disconnected = (times = 1) => until(() => `${times} disconnections; ${this.#describe()}`, () => this.disconnects.length >= times);

  /** refused waits for a connect_error by the server. */
  async refused() {
    await until(() => `a refusal; ${this.#describe()}`, () => this.refusals.length > 0);
    return this.refusals.at(-1);
  }

  /** hears waits for an event whose payload is as wanted. */
  hears = (event, wanted = () => true) => until(() => `${event}; ${this.#describe()}`, () => this.of(event).find(wanted));

  /** upTo waits until it was told of the event with this seq. */
  upTo = (seq) => until(() => `seq ${seq}; ${this.#describe()}`, () => this.told.some((one) => fromLog(one) && one.data.seq === seq));

  /** ask emits and waits for the acknowledgement. */
  ask = (event, ...args) => this.socket.timeout(10_000).emitWithAck(event, ...args);

  end() {
    this.socket.disconnect();
  }

  #describe() {
    const { connected, active } = this.socket;
    return JSON.stringify({
      connected, active, connects: this.connects, disconnects: this.disconnects,
      refusals: this.refusals.map((err) => err.data ?? err.message), last: this.told.slice(-3).map((one) => one.args),
    });
  }
}

/** Apps connects apps to one program and ends them all. */
export class Apps {
  #url;
  #all = [];

  constructor(url) {
    this.#url = url;
  }

  /** open gives an app that may not be connected yet. namespace is '' or one such as '/admin'. */
  open({ namespace = '', url = this.#url, via = 'websocket', ...options } = {}) {
    const app = new App(url + namespace, { transports: TRANSPORTS[via], ...options });
    this.#all.push(app);
    return app;
  }

  /** connect gives a connected app. */
  async connect(options) {
    const app = this.open(options);
    await app.connected();
    return app;
  }

  end() {
    for (const app of this.#all.splice(0)) app.end();
  }
}
