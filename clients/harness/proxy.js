// A TCP proxy between one client and the server: the road on which connections break.

import { once } from 'node:events';
import net from 'node:net';

export class Proxy {
  #server;
  #pairs = new Set();
  #target;

  constructor(target) {
    this.#target = target;
    this.closed = false; // while true, the way is closed: nobody gets through
    this.#server = net.createServer({ noDelay: true, allowHalfOpen: true }, (near) => this.#join(near));
  }

  static async to(port) {
    const proxy = new Proxy(port);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    proxy.url = `http://127.0.0.1:${proxy.#server.address().port}`;
    return proxy;
  }

  /** live is how many connections go through now. */
  get live() {
    return this.#pairs.size;
  }

  /** cut ends all connections at once, by reset or as if the other side had hung up, and says how many there were. */
  cut({ reset = true } = {}) {
    const pairs = [...this.#pairs];
    for (const pair of pairs) pair.cut(reset);
    return pairs.length;
  }

  /**
   * cutAfter lets so many bytes more come from the server and then cuts, in the midst of whatever that is. It resolves
   * with true when something was cut so, with false when what was live ended by itself before.
   */
  async cutAfter(bytes) {
    const ends = [...this.#pairs].map((pair) => pair.cutAfter(bytes));
    return (await Promise.all(ends)).includes(true);
  }

  async end() {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(near) {
    if (this.closed) return near.resetAndDestroy();
    const far = net.connect({ port: this.#target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const pair = new Pair(near, far);
    this.#pairs.add(pair);
    pair.gone.then(() => this.#pairs.delete(pair));
  }
}

// Pair is one connection: its end near the client and its end far at the server.
class Pair {
  #left = Infinity; // bytes that may still come from the server
  #cutShort = false;
  #settle;

  constructor(near, far) {
    this.near = near;
    this.far = far;
    this.gone = new Promise((resolve) => { this.#settle = resolve; });
    for (const end of [near, far]) {
      end.on('error', () => this.cut(true)); // what one side does, the other is told
      end.on('close', () => {
        if (near.destroyed && far.destroyed) this.#settle();
        else if (end.destroyed && !end.readableEnded) this.cut(true);
      });
    }
    near.pipe(far);
    far.on('data', (chunk) => this.#deliver(chunk));
    far.on('end', () => near.end());
    near.on('drain', () => far.resume());
  }

  #deliver(chunk) {
    const through = chunk.subarray(0, this.#left);
    this.#left -= through.length;
    const roomLeft = this.near.write(through);
    if (this.#left === 0) {
      this.#cutShort = true;
      this.far.destroy();
      this.near.end(() => this.near.destroy()); // what is on its way arrives, and no more
    } else if (!roomLeft) {
      this.far.pause();
    }
  }

  cut(reset) {
    for (const end of [this.near, this.far]) {
      if (end.destroyed) continue;
      if (reset && !end.connecting) end.resetAndDestroy();
      else end.destroy();
    }
  }

  cutAfter(bytes) {
    this.#left = Math.min(this.#left, bytes);
    return this.gone.then(() => this.#cutShort);
  }
}
