/**
 * INFO of several nodes as the INFO of one. Pure: texts in, sections out. Counters and sizes are added up, ratios computed
 * again from the sums, states take the worst, what is the same everywhere is the first node's.
 */

/** Fields of one section, in order. */
export type InfoFields = Map<string, string>;
/** Sections by their title (`Server`, `Memory` ...), in order. */
export type InfoSections = Map<string, InfoFields>;

export function parseInfo(text: string): InfoSections {
  const sections: InfoSections = new Map();
  let fields: InfoFields | null = null;
  for (const line of text.split('\r\n')) {
    if (line.startsWith('# ')) {
      fields = new Map();
      sections.set(line.slice(2), fields);
      continue;
    }
    const colon = line.indexOf(':');
    if (colon <= 0 || fields === null) continue;
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1);
    // Modules are lines of one name: kept as they stand.
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}\r\n${name}:${value}`);
  }
  return sections;
}

export function renderInfo(sections: InfoSections): string {
  const blocks = [...sections].map(
    ([title, fields]) =>
      `# ${title}\r\n${[...fields].map(([name, value]) => `${name}:${value}\r\n`).join('')}`,
  );
  return blocks.join('\r\n');
}

/** Puts the nodes' views together; sections and fields in the first node's order, others' additions behind. */
export function mergeInfo(nodes: readonly InfoSections[]): InfoSections {
  const merged: InfoSections = new Map();
  for (const title of new Set(nodes.flatMap((node) => [...node.keys()]))) {
    const views = nodes.map((node) => node.get(title)).filter((fields) => fields !== undefined);
    const names = new Set(views.flatMap((fields) => [...fields.keys()]));
    const fields: InfoFields = new Map();
    for (const name of names) {
      const values = views.map((view) => view.get(name)).filter((value) => value !== undefined);
      fields.set(name, mergeField(title, name, values));
    }
    if (title === 'Memory') recomputeMemory(fields);
    merged.set(title, title === 'Keyspace' ? sortDatabases(fields) : fields);
  }
  return merged;
}

/** How the values of one field become one. */
function mergeField(section: string, name: string, values: readonly string[]): string {
  const first = values[0]!;
  if (values.length === 1) return first;
  switch (section) {
    case 'Keyspace':
      return mergeList(values, (key, numbers, lists) =>
        key === 'avg_ttl' ? Math.round(weighted(lists, 'avg_ttl', 'expires')) : sum(numbers),
      );
    case 'Commandstats':
      return mergeList(values, (key, numbers, lists) =>
        key === 'usec_per_call' ? perCall(lists).toFixed(2) : sum(numbers),
      );
    case 'Errorstats':
      return mergeList(values, (_key, numbers) => sum(numbers));
    case 'Latencystats':
      return mergeList(values, (_key, numbers) => Math.max(...numbers).toFixed(3));
    case 'Clients':
    case 'Memory':
    case 'Stats':
    case 'CPU':
      if (FROM_FIRST.has(name) || !isNumber(first)) return first;
      if (name === 'latest_fork_usec') return format(values, Math.max(...values.map(Number)));
      if (name.endsWith('_stale_perc')) return (sum(values.map(Number)) / values.length).toFixed(2);
      return format(values, sum(values.map(Number)));
    case 'Persistence':
      return mergePersistence(name, values);
    case 'Replication':
      if (name === 'repl_backlog_active') return String(Math.max(...values.map(Number)));
      return isNumber(first) && !name.startsWith('master_replid')
        ? format(values, sum(values.map(Number)))
        : first;
    default:
      return first;
  }
}

/** The same on every node, or of no meaning in a sum. */
const FROM_FIRST: ReadonlySet<string> = new Set([
  'total_system_memory', 'maxclients', 'active_defrag_running', 'paused_timeout_milliseconds',
]); // prettier-ignore

/** Counts are added; times and flags take the largest; a status that is not `ok` wins. */
function mergePersistence(name: string, values: readonly string[]): string {
  if (!isNumber(values[0]!)) return values.find((value) => value !== 'ok') ?? values[0]!;
  const numbers = values.map(Number);
  const counts = /changes|keys|saves|rewrites|failures|cow_size$|cow_peak$/.test(name);
  return format(values, counts ? sum(numbers) : Math.max(...numbers));
}

/** Human forms, percentages and ratios follow from the sums (server.c, genValkeyInfoString). */
function recomputeMemory(fields: InfoFields): void {
  const number = (name: string) => Number(fields.get(name) ?? 0);
  const set = (name: string, value: string) => void (fields.has(name) && fields.set(name, value));
  for (const name of fields.keys()) {
    if (name.endsWith('_human'))
      fields.set(name, bytesToHuman(number(name.slice(0, -'_human'.length))));
  }
  const percent = (part: number, whole: number) =>
    `${(whole === 0 ? 0 : (part * 100) / whole).toFixed(2)}%`;
  const ratio = (part: number, whole: number) => (whole === 0 ? 0 : part / whole).toFixed(2);
  const used = number('used_memory');
  set('used_memory_peak_perc', percent(used, number('used_memory_peak')));
  set(
    'used_memory_dataset_perc',
    percent(number('used_memory_dataset'), used - number('used_memory_startup')),
  );
  set('allocator_frag_ratio', ratio(number('allocator_active'), number('allocator_allocated')));
  set('allocator_rss_ratio', ratio(number('allocator_resident'), number('allocator_active')));
  set('rss_overhead_ratio', ratio(number('used_memory_rss'), number('allocator_resident')));
  set('mem_fragmentation_ratio', ratio(number('used_memory_rss'), used));
}

/** util.c, bytesToHuman. */
export function bytesToHuman(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`;
  let value = bytes;
  for (const unit of ['K', 'M', 'G', 'T']) {
    value /= 1024;
    if (value < 1024) return `${value.toFixed(2)}${unit}`;
  }
  return `${(value / 1024).toFixed(2)}P`;
}

type Lists = readonly ReadonlyMap<string, number>[];

/** `calls=1,usec=2`: each key's values put together by `combine`. */
function mergeList(
  values: readonly string[],
  combine: (key: string, numbers: readonly number[], lists: Lists) => number | string,
): string {
  const lists = values.map(
    (value) =>
      new Map(
        value
          .split(',')
          .map((pair) => [pair.split('=', 1)[0]!, Number(pair.slice(pair.indexOf('=') + 1))]),
      ),
  );
  const keys = new Set(lists.flatMap((list) => [...list.keys()]));
  return [...keys]
    .map((key) => {
      const numbers = lists.map((list) => list.get(key)).filter((number) => number !== undefined);
      return `${key}=${combine(key, numbers, lists)}`;
    })
    .join(',');
}

function perCall(lists: Lists): number {
  const calls = sum(lists.map((list) => list.get('calls') ?? 0));
  return calls === 0 ? 0 : sum(lists.map((list) => list.get('usec') ?? 0)) / calls;
}

function weighted(lists: Lists, value: string, weight: string): number {
  const total = sum(lists.map((list) => list.get(weight) ?? 0));
  if (total === 0) return 0;
  return sum(lists.map((list) => (list.get(value) ?? 0) * (list.get(weight) ?? 0))) / total;
}

function sortDatabases(fields: InfoFields): InfoFields {
  return new Map([...fields].sort(([a], [b]) => Number(a.slice(2)) - Number(b.slice(2))));
}

/** With as many decimals as the nodes give. */
function format(values: readonly string[], number: number): string {
  const decimals = Math.max(...values.map((value) => (value.split('.')[1] ?? '').length));
  return number.toFixed(decimals);
}

function isNumber(text: string): boolean {
  return /^-?\d+(\.\d+)?$/.test(text);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
