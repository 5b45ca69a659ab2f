// Phones: apps on a bad road. A phone is cut again and again, at any moment: when it is live, while it connects, in the
// midst of a message. It comes back by itself, and notes what it was told and what should not have happened.

import { App, TRANSPORTS } from './apps.js';
import { Proxy } from './proxy.js';
import { CHANGED, expected } from './told.js';
import { pause, until } from './until.js';

/** How a phone knows where it was. */
export const CURSORS = {
  /** The client's own recovery alone: pid and offset. */
  recovery: (phone) => ({ token: phone.token }),
  /** The app once read the state and gives the same lastSeq for ever. */
  constant: (phone) => ({ token: phone.token, lastSeq: phone.start }),
  /** The app keeps the seq of what it is told. */
  own: (phone) => (give) => give({ token: phone.token, lastSeq: phone.cursor }),
};

// registered only repeats where the stream began, and of an admin's pair of events it is the second that counts.
const NO_CURSOR = new Set(['registered', CHANGED]);

const KINDS = ['reset', 'hang-up', 'midst', 'engine', 'socket'];

export class Phone {
  cuts = 0;
  wrong = []; // what should not have happened

  /** start is the seq from which on a phone that gives lastSeq is to be told. */
  constructor({ user, role, token, via, cursor, start }) {
    Object.assign(this, { user, role, token, via, cursorKind: cursor, start });
    this.cursor = start;
    this.name = `${user} by ${via}, cursor ${cursor}`;
  }

  /** begin connects it. One that gives no lastSeq counts from what it is registered with. */
  async begin(port) {
    this.road = await Proxy.to(port);
    this.app = new App(this.road.url, { transports: TRANSPORTS[this.via], auth: CURSORS[this.cursorKind](this) });
    const { socket } = this.app;
    socket.onAny((event, data) => {
      if (typeof data?.seq === 'number' && !NO_CURSOR.has(event)) this.cursor = Math.max(this.cursor, data.seq);
      if (event === 'resync') this.wrong.push(`resync ${JSON.stringify(data)}`);
    });
    // What arrives in the same turn as the end of its connection, socket.io-client hands on only after the return, although the
    // server then tells it again, because it is behind the offset that the client gives. See docs/socketio.md.
    socket.io.on('reconnect_attempt', () => { socket.receiveBuffer.length = 0; });
    await this.app.connected();
    const registered = await this.app.ask('register', { userId: this.user, role: this.role });
    if (this.cursorKind === 'recovery') this.start = registered.seq;
    socket.on('connect', () => {
      if (!socket.recovered) this.wrong.push(`connection ${this.app.connects.length} was not recovered`);
      socket.emit('register', { userId: this.user, role: this.role }); // as the seed's apps do each time
    });
    socket.on('connect_error', (err) => {
      if (!socket.active) this.wrong.push(`refused for good: ${err.message} ${JSON.stringify(err.data)}`);
    });
    socket.on('disconnect', (reason) => {
      if (!socket.active) this.wrong.push(`sent away for good: ${reason}`);
    });
  }

  /** suffer is cut so many times, each after a while of at most so many ms, however far it has come back by then. */
  async suffer(times, atMost, random) {
    while (this.cuts < times && !this.lost) {
      await pause(random.below(atMost)); // chance decides about the moment
      if (await this.#cut(random.of(KINDS), random)) this.cuts++;
    }
  }

  // cut says whether there was something to be cut.
  async #cut(kind, random) {
    const { engine } = this.app.socket.io;
    // When its WebSocket breaks between the answer to the probe and the upgrade, engine.io-client 6.6 has stopped polling
    // already and notices nothing until its heartbeat fails, 45 s later. That is waited for where the server's end or
    // chance brings it about, but not brought about on purpose.
    if (engine?.upgrading) return false;
    switch (kind) {
      case 'engine': // the client's own, with the goodbye of the transport, if it can still be said
        if (engine?.readyState !== 'open') return false;
        engine.close();
        return true;
      case 'socket': // the TCP connection under the client's WebSocket
        if (!engine?.transport?.ws?._socket) return false;
        engine.transport.ws._socket.destroy();
        return true;
      case 'midst':
        if (this.road.live === 0) return false;
        return this.#cutInTheMidst(1 + random.below(400));
      default:
        return this.road.cut({ reset: kind === 'reset' }) > 0;
    }
  }

  // Where nothing comes there is no midst, and it is cut all the same.
  async #cutInTheMidst(bytes) {
    let late = 0;
    const timer = setTimeout(() => { late = this.road.cut(); }, 1000);
    const short = await this.road.cutAfter(bytes);
    clearTimeout(timer);
    return short || late > 0;
  }

  get log() {
    return this.app.log;
  }

  /** returns is how often it was back. */
  get returns() {
    return this.app.connects.length - 1;
  }

  /** wanted is what it has to be told of for these items of its feed. */
  wanted = (items) => expected(items, { changed: this.role === 'admin' });

  /** lost says why the phone will never come back by itself, if so. */
  get lost() {
    return this.app.socket.active ? '' : `${this.name}: ${this.wrong.join(', ')}`;
  }

  /** upTo waits until the phone was told of the event with this seq. */
  upTo = (seq, ms) => until(
    () => `${this.name} is told of seq ${seq}: it is ${this.app.socket.connected ? '' : 'not '}connected, last told of ${this.cursor}; ${this.wrong.join(', ')}`,
    () => this.app.log.at(-1)?.data.seq >= seq,
    ms,
  );

  async end() {
    this.app?.end();
    await this.road?.end();
  }
}
