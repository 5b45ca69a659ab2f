// The REST API, as far as the tests need it.

import { createHmac, randomUUID } from 'node:crypto';

import { pause } from './until.js';

const BUSY = new Set([429, 502, 503, 504]);

/** Refused is an answer that is no success. */
export class Refused extends Error {
  constructor(method, path, status, body) {
    super(`${method} ${path} was answered ${status} ${body?.code ?? ''}: ${body?.detail ?? ''}`);
    this.status = status;
    this.code = body?.code;
  }
}

export class Api {
  constructor(url, webhookSecret = '') {
    this.base = `${url}/api/v1`;
    this.webhookSecret = webhookSecret;
    this.newest = 0; // the highest X-Seq of a command
  }

  get = (token, path) => this.ask('GET', path, { token });
  post = (token, path, body) => this.ask('POST', path, { token, body });
  patch = (token, path, body) => this.ask('PATCH', path, { token, body });
  delete = (token, path) => this.ask('DELETE', path, { token });

  /** ask returns the answer's body, with its X-Seq as the member seq where it is an object without one. */
  async ask(method, path, { token, body, text = body && JSON.stringify(body), headers = {} } = {}) {
    const response = await fetch(this.base + path, {
      method,
      body: text,
      headers: {
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(text && { 'Content-Type': 'application/json' }),
        ...headers,
      },
      signal: AbortSignal.timeout(15_000),
    });
    const answer = await response.text();
    const said = answer ? JSON.parse(answer) : {};
    if (!response.ok) throw new Refused(method, path, response.status, said);
    const seq = Number(response.headers.get('X-Seq') ?? 0);
    if (method !== 'GET') this.newest = Math.max(this.newest, seq);
    return { seq, ...said };
  }

  /** insist asks again while the server is away or busy: with the same key, so that nothing is done twice. */
  async insist(method, path, request, ms = 45_000) {
    const headers = { 'Idempotency-Key': randomUUID(), ...request.headers };
    const late = performance.now() + ms;
    for (let wait = 20; ; wait = Math.min(2 * wait, 500)) {
      try {
        return await this.ask(method, path, { ...request, headers });
      } catch (err) {
        const again = !(err instanceof Refused) || BUSY.has(err.status) || err.code === 'version_conflict';
        if (!again || performance.now() > late) throw err;
        await pause(wait); // between two attempts
      }
    }
  }

  /** feed reads all of a user's own notifications after lastSeq, up to all that was answered to commands so far. */
  async feed(token, lastSeq = 0) {
    const items = [];
    for (;;) {
      const page = await this.insist('GET', `/feed?lastSeq=${lastSeq}&limit=200&min_seq=${this.newest}`, { token });
      items.push(...page.items);
      if (page.next === null) return { items, seq: page.seq };
      lastSeq = Number(page.next);
    }
  }

  /** provider tells what became of a payment, as the payment provider does. */
  async provider(type, payment, { amount = payment.amount } = {}) {
    const text = JSON.stringify({
      eventId: randomUUID(), paymentId: payment.id, type, amount, currency: payment.currency,
    });
    const signature = createHmac('sha256', this.webhookSecret).update(text).digest('hex');
    return this.insist('POST', '/payments/webhook', { text, headers: { 'X-Signature': `sha256=${signature}` } });
  }
}
