/**
 * Heat: where the load of a cache is, by slot, by node and by key. Proxies count what they route and send it to control
 * (SlotHeatReport); control sums it and adds what the nodes say of themselves (CacheHeat): the planner, the API and
 * `/metrics` read that. Pure types; arrays are indexed by slot.
 */

/** What one slot is counted in; also the order of a report's columns. */
export const SLOT_MEASURES = ['requests', 'ecpu', 'bytesIn', 'bytesOut'] as const;
export type SlotMeasure = (typeof SLOT_MEASURES)[number];

/** Per second, by slot 0..16383. */
export type SlotRates = Readonly<Record<SlotMeasure, Float64Array>>;

/**
 * What one proxy counted for one cache since the report before this: only the slots with traffic, so it is bounded by the
 * number of slots. A report is sent again, unchanged and under its number, until control says that it has it
 * (`heat-taken`); control takes each number once. So nothing is lost or counted twice when the link or either side dies,
 * but for what a proxy that dies had not sent.
 */
export interface SlotHeatReport {
  readonly cache: string;
  /** Id of the cache: a name may be used again. */
  readonly cacheId: string;
  /** 1, 2, 3 ... since the proxy started to serve this cache. */
  readonly sequence: number;
  /** The time it covers. */
  readonly intervalMs: number;
  /** Slots with traffic. */
  readonly slots: number;
  /** Base64: for each of SLOT_MEASURES `slots` floats of 32 bits, then as many slot numbers of 16 bits. */
  readonly columns: string;
  readonly hotKeys: readonly HotKeyReport[];
}

/** A key that many requests are for, as one proxy sees it or summed over proxies. */
export interface HotKeyReport {
  readonly slot: number;
  /** Its bytes, in hex: the first HOT_KEY_SHOWN_BYTES of them. */
  readonly keyHex: string;
  readonly keyBytes: number;
  /** At least so many per second: what a bounded sketch can be sure of. */
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
}

/** Of a hot key so many bytes are told. */
export const HOT_KEY_SHOWN_BYTES = 256;

/** One node; null: not known (yet), or its engine does not say it. Rates are over the last second or so. */
export interface NodeHeat {
  readonly nodeId: string;
  readonly shard: number;
  readonly role: 'primary' | 'replica';
  /** Part of the time in which the main thread worked, 0..1. */
  readonly utilisation: number | null;
  /** Threads configured for I/O, the main one included. */
  readonly ioThreads: number | null;
  readonly usedMemoryBytes: number | null;
  /** 0: no limit. */
  readonly memoryMaximumBytes: number | null;
  readonly datasetBytes: number | null;
  readonly residentBytes: number | null;
  readonly networkInPerSecond: number | null;
  readonly networkOutPerSecond: number | null;
  /** Replica: bytes behind its primary. */
  readonly replicationLagBytes: number | null;
  readonly keys: number | null;
  readonly evictedKeysPerSecond: number | null;
  /** Requests and ECPU of its slots, as the proxies counted them; a replica: 0. */
  readonly requestsPerSecond: number;
  readonly ecpuPerSecond: number;
  /** Slots that it owns. */
  readonly slots: number;
}

/** The arrays are the board's own and change with the next second: what is to be kept is copied. */
export interface CacheHeat {
  readonly cache: string;
  /** When this picture was made. */
  readonly atMs: number;
  /** When the newest report of a proxy came; 0: none has yet. */
  readonly sampledAtMs: number;
  /** The last second. */
  readonly rates: SlotRates;
  /** The same smoothed (EWMA over 1.5 s): what decisions are made on. */
  readonly smoothed: SlotRates;
  /** Keys in each slot; of the last look at all slots, at most half a minute old. Of an unsharded cache: 0. */
  readonly keys: Float64Array;
  /** CPU of the engine, microseconds per second, over the last look at the slot. */
  readonly cpuUsPerSecond: Float64Array;
  /** Memory of each slot, estimated: its keys times the mean size of a key in its shard. */
  readonly memoryBytes: Float64Array;
  /** Shard that owns each slot; -1: none that is known. */
  readonly owners: Int32Array;
  readonly total: Readonly<Record<SlotMeasure, number>>;
  readonly nodes: readonly NodeHeat[];
  /** Hottest first. Kept only for slots that are hot. */
  readonly hotKeys: readonly HotKeyReport[];
}

/** CacheHeat as the API tells it: arrays by slot are arrays of numbers, rounded. */
export type CacheHeatAnswer = Omit<
  CacheHeat,
  'rates' | 'smoothed' | 'keys' | 'cpuUsPerSecond' | 'memoryBytes' | 'owners'
> & {
  readonly rates: Readonly<Record<SlotMeasure, readonly number[]>>;
  readonly smoothed: Readonly<Record<SlotMeasure, readonly number[]>>;
  readonly keys: readonly number[];
  readonly cpuUsPerSecond: readonly number[];
  readonly memoryBytes: readonly number[];
  readonly owners: readonly number[];
};
