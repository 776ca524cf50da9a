/** One hash in each slot, as large as the engine keeps in one piece of memory: a field that is not there costs a look at all. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { encodeRequest } from '../../src/protocol/request-encoder.ts';
import { BenchError } from '../bench-error.ts';
import { slotKey, slotTags } from './slot-keys.ts';

/** Default of `hash-max-listpack-entries`: one more and it is a hash table. */
const FIELDS = 512;

/** @throws BenchError BENCH_RUN_FAILED where an answer is not the number of fields */
export async function prefillHashes(port: number): Promise<void> {
  const tags = slotTags();
  const fields = Array.from({ length: FIELDS }, (_, field) => [
    `f${String(field).padStart(7, '0')}`,
    '1',
  ]).flat();
  const answer = `:${FIELDS}\r\n`;
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  await once(socket, 'connect');
  let received = 0;
  const answered = new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      if (chunk.includes('-'))
        reject(new BenchError('BENCH_RUN_FAILED', chunk.toString('latin1', 0, 200)));
      received += chunk.length;
      if (received >= tags.length * answer.length) resolve();
    });
    socket.on('close', () =>
      reject(new BenchError('BENCH_RUN_FAILED', 'the endpoint closed a connection of the prefill')),
    );
  });
  answered.catch(() => {});
  for (let slot = 0; slot < tags.length; slot++) {
    const sent = socket.write(encodeRequest(['HSET', slotKey(tags, slot, 0), ...fields]));
    if (!sent) await Promise.race([once(socket, 'drain'), answered]);
  }
  await answered;
  socket.destroy();
}
