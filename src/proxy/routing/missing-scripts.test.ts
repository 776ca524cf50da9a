import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { beforeEach, describe, it } from 'node:test';
import { until } from '../../../e2e/harness/until.ts';
import { RespError, type RespValue } from '../../protocol/resp-value.ts';
import { MissingScripts } from './missing-scripts.ts';
import type { Request } from './request.ts';
import { NodeMap } from './node-map.ts';

const BODY = Buffer.from('return 1');
const SHA = createHash('sha1').update(BODY).digest('hex');
const NOSCRIPT = new RespError('NOSCRIPT No matching script. Please use EVAL.');

describe('MissingScripts', () => {
  /** What each of two nodes knows; null: it does not answer. */
  let nodes: (Set<string> | null)[];
  let asked: string[];
  let scripts: MissingScripts;

  beforeEach(() => {
    const map = new NodeMap();
    nodes = [new Set(), new Set()];
    for (const port of [1, 2]) map.at('host', port);
    map.setOwner(0, 0);
    map.setOwner(1, 1);
    asked = [];
    scripts = new MissingScripts({
      map,
      question: (node, [, verb, argument]) => {
        asked.push(`${node} ${String(verb)}`);
        return Promise.resolve(answer(nodes[node]!, String(verb), argument!));
      },
      peerScript: () => Promise.resolve(null),
      deadlineMs: () => 10_000,
    });
  });

  function answer(
    node: Set<string> | null,
    verb: string,
    argument: string | Uint8Array,
  ): RespValue {
    if (node === null) return null;
    if (verb === 'SHOW') return node.has(String(argument)) ? BODY : NOSCRIPT;
    node.add(createHash('sha1').update(argument).digest('hex'));
    return Buffer.from(SHA);
  }

  it('asks a node once, until the connection to it is lost', async () => {
    nodes[0]!.add(SHA);
    await scripts.bring(0, [SHA]);
    await scripts.bring(0, [SHA]);
    assert.deepEqual(asked, ['0 SHOW']);
    assert.equal(scripts.areAt(0, [SHA], performance.now()), true);
    scripts.forgetNode(0);
    assert.equal(scripts.areAt(0, [SHA], performance.now()), false);
  });

  it('believes that NOSCRIPT is a script’s own only where the script was known before the request was sent', async () => {
    const text = `*3\r\n$7\r\nEVALSHA\r\n$40\r\n${SHA}\r\n$1\r\n0\r\n`;
    const buf = Buffer.from(text);
    const request = { fixed: null, command: {}, buf, start: 0 } as unknown as Request;
    const ended = async (sentMs: number) => {
      const search = scripts.search(0, request, sentMs)!;
      await until(() => search.state !== 'searching');
      return search.state;
    };
    const sentMs = performance.now() - 1;
    // Somebody else has brought it since.
    nodes[0]!.add(SHA);
    assert.equal(await ended(sentMs), 'brought');
    assert.equal(await ended(sentMs), 'brought');
    assert.equal(await ended(performance.now()), 'here');
  });

  it('waits for a node that does not answer', async () => {
    scripts.loaded(BODY);
    nodes = [null, null];
    const done = scripts.bring(0, [SHA]);
    await until(() => asked.length > 1);
    nodes[0] = new Set();
    scripts.forgetNode(0);
    await done;
    assert.ok(nodes[0].has(SHA));
  });

  it('loads what it knows by its text into a node that is new', async () => {
    scripts.loaded(BODY);
    scripts.forgetNode(1);
    await scripts.bring(1, [SHA]);
    assert.ok(nodes[1]!.has(SHA));
    assert.equal(scripts.areAt(1, [SHA], performance.now()), true);
  });

  it('does not load again what a node that had it has forgotten', async () => {
    scripts.loaded(BODY);
    // Somebody else has had them forgotten since.
    await scripts.bring(1, [SHA]);
    scripts.forgetNode(0);
    await scripts.bring(0, [SHA]);
    assert.deepEqual(
      nodes.map((node) => node!.has(SHA)),
      [false, false],
    );
  });

  it('that nobody has is looked for once for each transaction', async () => {
    const since = performance.now();
    assert.equal(scripts.areAt(1, [SHA], since), false);
    await scripts.bring(1, [SHA]);
    assert.equal(scripts.areAt(1, [SHA], since), true);
    assert.equal(scripts.areAt(1, [SHA], performance.now()), false);
  });
});
