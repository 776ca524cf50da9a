/**
 * A node that has owed replies for the whole deadline without a byte may hang, or be busy with one long command. One that
 * still answers on another connection (PONG, BUSY) is given more time; the others' connections are cut, so that requests
 * go elsewhere or are answered.
 */
import { encodeRequest } from '../../protocol/request-encoder.ts';
import type { Turn } from '../io/turn.ts';
import type { Connections } from './connections.ts';
import { QUESTION_MS, type NodeQuestions } from './node-questions.ts';
import { LOST_CONNECTION } from './take-back.ts';
import type { Upstream } from './upstream.ts';

export interface StallWatchParts {
  readonly connections: Connections;
  readonly questions: NodeQuestions;
  readonly turn: Turn;
  readonly deadlineMs: () => number;
}

const PING = encodeRequest(['PING']);

export class StallWatch {
  readonly #parts: StallWatchParts;
  /** Stalled connections whose node is being probed. */
  readonly #probed = new Set<Upstream>();

  constructor(parts: StallWatchParts) {
    this.#parts = parts;
  }

  /** Called about once a second. */
  look(): void {
    const nowUs = performance.now() * 1000;
    const patienceUs = this.#parts.deadlineMs() * 1000;
    const { lanes, bounded } = this.#parts.connections;
    const look = (upstream: Upstream | null): void => {
      if (!upstream || upstream.pending === 0 || this.#probed.has(upstream)) return;
      if (nowUs - upstream.lastActivityUs >= patienceUs) void this.#probe(upstream);
    };
    for (const lane of lanes) for (const upstream of lane.upstreams) look(upstream);
    for (const upstream of bounded.all()) look(upstream);
  }

  async #probe(stalled: Upstream): Promise<void> {
    const { connections, questions, turn, deadlineMs } = this.#parts;
    this.#probed.add(stalled);
    const handshake = connections.system.handshake(stalled.node);
    const probe = connections.openPrivate(stalled.node, handshake);
    const answer = questions.askBytes(PING, { fixed: probe, mayWait: true });
    const silence = new Promise<null>((resolve) =>
      setTimeout(() => resolve(null), QUESTION_MS).unref(),
    );
    const reply = await Promise.race([answer, silence]);
    probe.destroy();
    this.#probed.delete(stalled);
    if (reply !== null && !reply.equals(LOST_CONNECTION)) stalled.lastActivityUs = turn.nowUs;
    else stalled.destroy(new Error(`the node has not answered for ${deadlineMs()} ms`));
  }
}
