// Appends with Emmett as fast as it can. A line on standard input, {"writers", "milliseconds", "data", "metadata"}, is a
// round; its answer, a line on standard output, says how long it took and how long each append did. It ends with its input.
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { STREAM_DOES_NOT_EXIST } from '@event-driven-io/emmett';
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql';
import pg from 'pg';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.CONNECTIONS), min: 0, idleTimeoutMillis: 0 });
const store = getPostgreSQLEventStore(process.env.DATABASE_URL, {
  schema: { autoMigration: 'None' },
  connectionOptions: { pool },
});
await store.schema.migrate();

// Each writer appends to a stream of its own, with the version it must have.
async function write(until, event, latencies) {
  const stream = `order:${randomUUID()}`;
  for (let n = 0n; performance.now() < until; n++) {
    const began = performance.now();
    const { nextExpectedStreamVersion } = await store.appendToStream(stream, [event], {
      expectedStreamVersion: n === 0n ? STREAM_DOES_NOT_EXIST : n,
    });
    latencies.push(Math.round((performance.now() - began) * 1000));
    if (BigInt(nextExpectedStreamVersion) !== n + 1n) {
      throw new Error(`append ${n + 1n} made version ${nextExpectedStreamVersion}`);
    }
  }
}

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const { writers, milliseconds, data, metadata } = JSON.parse(line);
  const event = { type: 'order.status_changed', data, metadata };
  const microseconds = [];
  const began = performance.now();
  await Promise.all(Array.from({ length: writers }, () => write(began + milliseconds, event, microseconds)));
  const elapsed = Math.round((performance.now() - began) * 1000);
  console.log(JSON.stringify({ elapsed, microseconds }));
}
await store.close();
await pool.end();
