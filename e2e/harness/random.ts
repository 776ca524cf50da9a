/** Random numbers in [0, 1) that are the same for the same seed (mulberry32), so that a failure can be run again. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A seed given by SPRINGTIDE_TEST_SEED, else a new one; print it. */
export function testSeed(): number {
  return Number(process.env['SPRINGTIDE_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
}
