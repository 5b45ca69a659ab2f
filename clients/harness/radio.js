// Radios: streams of server-sent events on a bad road. A radio comes back by itself, as phones do.

import { EventSource } from 'eventsource';

import { Proxy } from './proxy.js';
import { Stream } from './streams.js';
import { expected } from './told.js';
import { pause, until } from './until.js';

export class Radio {
  cuts = 0;
  wrong = [];

  constructor({ user, role, token }) {
    Object.assign(this, { user, role, token, name: `${user} by server-sent events` });
  }

  async begin(port) {
    this.road = await Proxy.to(port);
    this.stream = new Stream(this.road.url, { token: this.token });
    this.start = (await this.stream.hears('registered')).seq;
    this.stream.source.addEventListener('resync', ({ data }) => this.wrong.push(`resync ${data}`));
  }

  async suffer(times, atMost, random) {
    while (this.cuts < times && !this.lost) {
      await pause(random.below(atMost)); // chance decides about the moment
      if (this.road.cut({ reset: random.below(2) === 0 }) > 0) this.cuts++;
    }
  }

  get log() {
    return this.stream.log;
  }

  get returns() {
    return this.stream.opened - 1;
  }

  wanted = (items) => expected(items);

  get lost() {
    return this.stream.source.readyState === EventSource.CLOSED ? `${this.name}: answered ${this.stream.failures}` : '';
  }

  upTo = (seq, ms) => until(
    () => `${this.name} is told of seq ${seq}: last told of ${JSON.stringify(this.stream.told.at(-1))}; ${this.lost}`,
    () => this.log.at(-1)?.data.seq >= seq,
    ms,
  );

  async end() {
    this.stream?.end();
    await this.road?.end();
  }
}
