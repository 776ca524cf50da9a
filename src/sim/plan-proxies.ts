/**
 * How many proxies a fleet has: like shards, but they hold no data, so they come and go without moving anything. Up at once
 * for what is expected, down by drain after quiet. The model's own, until a fleet of many hosts is scaled so. Units: requests per second.
 */
export interface ProxiesView {
  readonly proxies: number;
  /** Still starting; they count as there. */
  readonly starting: number;
  readonly requestsPerSecond: number;
  /** Expected within the time a proxy takes to start. */
  readonly aheadPerSecond: number;
  /** That the caches' minimums ask for. */
  readonly minimumPerSecond: number;
  /** The most within the quiet time; null: not observed that long. */
  readonly quietPeakPerSecond: number | null;
  /** Mean processor utilisation of a proxy, 0..1; null: not known. */
  readonly utilisation: number | null;
}

export interface ProxiesParams {
  readonly requestsPerProxy: number;
  readonly targetUtilisation: number;
  readonly inUtilisation: number;
  readonly saturatedUtilisation: number;
  readonly minimum: number;
  readonly maximum: number;
}

export interface ProxiesPlan {
  readonly proxies: number;
  readonly reason: string;
}

export function planProxies(view: ProxiesView, params: ProxiesParams): ProxiesPlan {
  const present = view.proxies + view.starting;
  // Nobody knows how much a saturated fleet turns away; those that start are the answer to what was seen so far.
  const saturated = (view.utilisation ?? 0) >= params.saturatedUtilisation && view.starting === 0;
  const wanted = Math.max(
    view.requestsPerSecond * (saturated ? 2 : 1),
    view.aheadPerSecond,
    view.minimumPerSecond,
  );
  const bound = (count: number): number =>
    Math.min(params.maximum, Math.max(params.minimum, count));
  const out = bound(Math.ceil(wanted / (params.requestsPerProxy * params.targetUtilisation)));
  if (out > present)
    return { proxies: out, reason: `${Math.round(wanted)} requests/s need ${out} proxies` };
  if (view.quietPeakPerSecond === null || view.utilisation === null)
    return { proxies: present, reason: 'not observed for long enough' };
  const quiet = bound(
    Math.ceil(
      Math.max(view.quietPeakPerSecond, view.minimumPerSecond) /
        (params.requestsPerProxy * params.inUtilisation),
    ),
  );
  return quiet < present
    ? { proxies: quiet, reason: `the most while quiet was ${Math.round(view.quietPeakPerSecond)}` }
    : { proxies: present, reason: 'enough' };
}
