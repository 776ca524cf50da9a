/**
 * What travels over the local socket between control and a proxy: one JSON object a line, either side may lose the link
 * and find it again. Control listens on `controlSocketPath`; a proxy connects, says `hello`, and is sent the topology at
 * once and after every change.
 */
import type { SlotHeatReport } from './heat.ts';
import type { Topology } from './topology.ts';
import type { ProxyUsage } from './usage.ts';

/** A client connection as CLIENT LIST and `springtide status` show it. */
export type ProxyToControl =
  | { readonly type: 'hello'; readonly proxy: number; readonly pid: number }
  /** The proxy listens on every port of topology `version`; or could not, and why (per cache name). */
  | {
      readonly type: 'serving';
      readonly version: number;
      readonly failures: Readonly<Record<string, string>>;
      /** Names of caches of which a node that leaves still owes replies, or is still sent requests. */
      readonly leaving: readonly string[];
    }
  | { readonly type: 'usage'; readonly usage: ProxyUsage }
  /** Answered with `heat-taken`. */
  | { readonly type: 'heat'; readonly report: SlotHeatReport }
  | { readonly type: 'node-lost'; readonly cache: string; readonly nodeId: string };

export type ControlToProxy =
  | { readonly type: 'topology'; readonly topology: Topology }
  /** Roles or slots of this cache changed just now: ask the nodes again at once. */
  | { readonly type: 'refresh'; readonly cache: string }
  /** The report of this number is counted: the next one may come. */
  | { readonly type: 'heat-taken'; readonly cacheId: string; readonly sequence: number }
  /** Keep a sketch of the hot keys of these slots, and no longer of those named before. */
  | { readonly type: 'watch-slots'; readonly cache: string; readonly slots: readonly number[] }
  /** This proxy's part of the cache's request limit, ECPU per second, until the next. */
  | { readonly type: 'ecpu-share'; readonly cache: string; readonly perSecond: number }
  /** False: meter nothing and count nothing by slot, to measure what that costs (bench/heat-cost.ts). */
  | { readonly type: 'count-heat'; readonly counts: boolean }
  /** Stop accepting, let replies go out, exit. */
  | { readonly type: 'drain'; readonly graceMs: number };
