// until waits for a condition, and says what was waited for when it does not come about.

const LOOK_EVERY = 5; // ms

/**
 * until resolves with the first truthy value that look returns, and rejects after ms. look may be async.
 * what is said in the error: a string, or a function that describes how far it came.
 */
export async function until(what, look, ms = 15_000) {
  const late = performance.now() + ms;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (performance.now() > late) {
      throw new Error(`not within ${ms} ms: ${typeof what === 'function' ? what() : what}`);
    }
    await pause(LOOK_EVERY);
  }
}

/** pause lets time pass. It is for pace, never for "by now it will have happened". */
export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** within bounds a promise that may never be settled. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
