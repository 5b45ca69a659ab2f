// The real program in a process of its own, with its private PostgreSQL in a folder that is removed afterwards. It can be
// stopped, killed and started again on the same port and data.

import { execFile, spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { chmod, mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Api } from './api.js';
import { within } from './until.js';

const APP = process.env.ORDERLOG_APP ?? fileURLToPath(new URL('../../bin/app', import.meta.url));
const WEBHOOK_SECRET = 'a secret of the payment provider, for tests';
const START_AT_MOST = 120_000; // ms; the first start makes a database cluster, which a busy machine takes long for
const STOP_AT_MOST = 30_000;

export class Program {
  #child = null;
  #dir;
  #settings;
  #said = '';
  #ready;

  constructor(dir, port, settings) {
    this.#dir = dir;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.api = new Api(this.url, WEBHOOK_SECRET);
    this.#settings = settings;
    this.#ready = `ready on ${this.url}`;
  }

  /** begin starts a program of its own data. settings are further environment variables. */
  static async begin(settings = {}) {
    if (!existsSync(APP)) throw new Error(`there is no ${APP}: run make build, or make test-clients`);
    const dir = await mkdtemp(path.join(tmpdir(), 'orderlog-clients-'));
    await chmod(dir, 0o711); // the database's user has to pass when the tests are run by root
    const program = new Program(dir, await freePort(), settings);
    process.once('exit', program.#abandon);
    await program.start();
    return program;
  }

  /** start returns when the program says that it is ready. */
  async start() {
    this.#said = '';
    const child = spawn(APP, ['serve'], { env: this.#environment(), stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    child.gone = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
    const ready = new Promise((resolve) => {
      child.stderr.setEncoding('utf8').on('data', (text) => {
        this.#said = (this.#said + text).slice(-20_000);
        if (this.#said.includes(this.#ready)) resolve('ready');
      });
    });
    const first = await within(START_AT_MOST, 'the program is ready', Promise.race([ready, child.gone])).catch((err) => err);
    if (first !== 'ready') {
      child.kill('SIGKILL');
      throw new Error(`the program did not start: ${first.message ?? `it ended with ${first.code ?? first.signal}`}; it said:\n${this.#said}`);
    }
  }

  /** stop ends it in order, and fails if it does not end well. */
  async stop() {
    const { code, signal } = await this.#end('SIGTERM');
    if (code !== 0) throw new Error(`the program ended with ${code ?? signal}; it said:\n${this.#said}`);
  }

  /** kill ends it as a crash does. */
  async kill() {
    await this.#end('SIGKILL');
  }

  /** end stops it and removes its data. */
  async end() {
    try {
      if (this.#child) await this.stop();
    } finally {
      process.off('exit', this.#abandon);
      this.#abandon();
    }
  }

  /** token asks the program for a token, as somebody who tries it out does. */
  async token(user, role, { ttl = '1h', name = '' } = {}) {
    const args = ['token', '--user', user, '--role', role, '--ttl', ttl];
    if (name) args.push('--name', name);
    const { stdout } = await promisify(execFile)(APP, args, { env: this.#environment() });
    return stdout.trim();
  }

  async #end(signal) {
    const child = this.#child;
    this.#child = null;
    child.kill(signal);
    return within(STOP_AT_MOST, `the program ends after ${signal}`, child.gone).catch((err) => {
      child.kill('SIGKILL');
      throw new Error(`${err.message}; it said:\n${this.#said}`);
    });
  }

  // Also when a test run is broken off nothing stays behind; the database ends when its program does.
  #abandon = () => {
    this.#child?.kill('SIGKILL');
    rmSync(this.#dir, { recursive: true, force: true, maxRetries: 5 });
  };

  #environment() {
    const { PATH, HOME } = process.env;
    return {
      PATH, HOME, PORT: String(this.port), DATA_DIR: path.join(this.#dir, 'data'), PAYMENT_WEBHOOK_SECRET: WEBHOOK_SECRET,
      LOG_LEVEL: 'info', LOG_FORMAT: 'text', ...this.#settings,
    };
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

// freePort finds a port below those that systems hand out to outgoing connections: while the program is down, none of
// the clients' own connections may come to lie on its port.
async function freePort() {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    const free = await new Promise((resolve) => {
      const server = createServer().once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}
