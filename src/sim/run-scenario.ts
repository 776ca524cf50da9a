/** Runs one scenario in virtual time: arrivals, faults, the planner each second, what came of it. */
import { DEFAULT_PLANNER_PARAMS, type PlannerParams } from '../control/policies/planner-params.ts';
import { forecastDemand } from '../control/policies/forecast-demand.ts';
import { seededRandom } from '../lib/seeded-random.ts';
import type { Calibration } from './calibration.ts';
import { mixtureQuantile } from './queueing.ts';
import type { Fault, Outcome, Point, Scenario } from './scenario.ts';
import { SimCache, type TickResult } from './sim-cache.ts';
import { SimFleet } from './sim-fleet.ts';
import { SimProxies } from './sim-proxies.ts';

/** A second counts as overloaded when it loses more than this. */
const LOSS_SHARE = 1e-4;
const SEED = 20_260_101;

export interface RunOptions {
  /** `planned` or `reactive` (the same planner, forecast off), or another's name. */
  readonly variant: string;
  readonly params: Partial<PlannerParams>;
  readonly calibration: Calibration;
}

export function runScenario(scenario: Scenario, options: RunOptions): Outcome {
  const { calibration } = options;
  const params: PlannerParams = {
    ...DEFAULT_PLANNER_PARAMS,
    ...scenario.params,
    ...options.params,
  };
  const fleet = new SimFleet(scenario.hosts, calibration, scenario.pool);
  fleet.prewarm(scenario.prewarmed + scenario.shards * (1 + scenario.replicas));
  const cache = new SimCache(fleet, { ...scenario, params }, seededRandom(SEED));
  const proxies = new SimProxies(calibration, scenario.arrivals(-scenario.warmUpMs));
  const tally = new Tally(scenario, calibration, params);
  const faults = new FaultRunner(scenario.faults, cache, fleet);

  for (let at = -scenario.warmUpMs; at < scenario.durationMs; at += scenario.tickMs) {
    const nowMs = scenario.startMs + at;
    if (scenario.limitsAt !== undefined) cache.limits = scenario.limitsAt(at);
    cache.bytesScale = scenario.bytesScale?.(at) ?? 1;
    cache.shards.capacityScale = scenario.capacityScale?.(at) ?? 1;
    faults.run(at, nowMs);
    fleet.beginTick();
    const offered = scenario.arrivals(at);
    const through = proxies.advance(nowMs, scenario.tickMs, offered);
    const tick = cache.advance(nowMs, scenario.tickMs, through.rate);
    const due = (at + scenario.warmUpMs) % scenario.planMs === 0;
    if (at >= 0)
      tally.tick(at, cache, proxies, offered, { ...tick, lost: tick.lost + through.lost }, due);
    if (!due) continue;
    cache.plan(nowMs);
    const demand = forecastDemand(nowMs, cache.state.demand, cache.state.season, params);
    proxies.plan(
      nowMs,
      demand.now > 0 ? demand.ahead / demand.now : 1,
      cache.limits.ecpuPerSecondMinimum,
    );
    fleet.refill(nowMs, [cache.nodes], cache.nodesMissing);
  }
  return tally.outcome(options.variant, cache, proxies);
}

class FaultRunner {
  #left: Fault[];
  readonly #cache: SimCache;
  readonly #fleet: SimFleet;

  constructor(faults: readonly Fault[], cache: SimCache, fleet: SimFleet) {
    this.#left = [...faults];
    this.#cache = cache;
    this.#fleet = fleet;
  }

  run(at: number, nowMs: number): void {
    this.#left = this.#left.filter((fault) => at < fault.atMs || !this.#happens(fault, at, nowMs));
  }

  /** True when it is over. */
  #happens(fault: Fault, at: number, nowMs: number): boolean {
    switch (fault.kind) {
      case 'zone-lost': {
        for (const host of this.#fleet.hosts.values())
          if (host.zone === fault.zone) this.#fleet.killHost(host.id);
        this.#cache.loseHosts(nowMs);
        return true;
      }
      case 'metric-gap': {
        this.#cache.blind = at < fault.untilMs;
        return !this.#cache.blind;
      }
      case 'move-killed': {
        const move = this.#cache.steps.jobs.find((job) => job.move !== null)?.move;
        if (move === null || move === undefined) return false;
        this.#cache.losePrimary(move[fault.side], nowMs, 100);
        return true;
      }
    }
  }
}

class Tally {
  readonly #scenario: Scenario;
  readonly #calibration: Calibration;
  readonly #params: PlannerParams;
  readonly #points: Point[] = [];
  #offered = 0;
  #lost = 0;
  #slow = 0;
  #overloadedMs = 0;
  #firstLossMs: number | null = null;
  #lastLossMs = 0;
  #nodeMs = 0;
  #idealMs = 0;
  #peakShards = 0;
  #turns = 0;
  #direction = 0;
  #shards = 0;
  readonly #balance: number[] = [];
  #nextBalanceMs = 0;
  #balanceNow = 1;
  #slice = { offered: 0, served: 0, lost: 0, sinceMs: 0 };

  constructor(scenario: Scenario, calibration: Calibration, params: PlannerParams) {
    this.#scenario = scenario;
    this.#calibration = calibration;
    this.#params = params;
  }

  tick(
    at: number,
    cache: SimCache,
    proxies: SimProxies,
    rate: number,
    { served, lost, slow }: TickResult,
    due: boolean,
  ): void {
    this.#slow += slow;
    const { tickMs } = this.#scenario;
    const offered = (rate * tickMs) / 1000;
    this.#offered += offered;
    this.#lost += lost;
    if (lost > offered * LOSS_SHARE) {
      this.#overloadedMs += tickMs;
      this.#firstLossMs ??= at;
      this.#lastLossMs = at + tickMs;
    }
    const shards = cache.shards.byNumber.size;
    this.#peakShards = Math.max(this.#peakShards, shards);
    if (this.#shards > 0 && shards !== this.#shards) {
      const direction = Math.sign(shards - this.#shards);
      if (this.#direction !== 0 && direction !== this.#direction) this.#turns += 1;
      this.#direction = direction;
    }
    this.#shards = shards;
    this.#nodeMs += cache.nodes * tickMs;
    this.#idealMs += this.#ideal(rate) * tickMs;
    this.#slice.offered += offered;
    this.#slice.served += served;
    this.#slice.lost += lost;
    if (!due) return;
    if (at >= this.#nextBalanceMs) {
      this.#balanceNow = cache.shards.maxOverReachable(this.#scenario.startMs + at);
      // All slots are looked at: not each second of a long day.
      this.#nextBalanceMs = at + Math.min(60_000, this.#scenario.durationMs / 200);
      if (at >= this.#scenario.balancedFromMs) this.#balance.push(this.#balanceNow);
    }
    this.#record(at + tickMs, rate, cache, proxies);
  }

  outcome(variant: string, cache: SimCache, proxies: SimProxies): Outcome {
    const weights = this.#points.map((point) => point.offered);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const mean = (of: (point: Point) => number): number =>
      this.#points.reduce((sum, point) => sum + of(point) * point.offered, 0) / Math.max(1, total);
    return {
      scenario: this.#scenario.name,
      variant,
      offered: this.#offered,
      lost: this.#lost,
      servedShare: this.#offered > 0 ? 1 - this.#lost / this.#offered : 1,
      promptShare: this.#offered > 0 ? 1 - (this.#lost + this.#slow) / this.#offered : 1,
      overloadedSeconds: this.#overloadedMs / 1000,
      absorbedMs: this.#firstLossMs === null ? 0 : this.#lastLossMs - this.#firstLossMs,
      peakShards: this.#peakShards,
      endShards: cache.shards.byNumber.size,
      peakProxies: proxies.peak,
      nodeHours: this.#nodeMs / 3_600_000,
      idealNodeHours: this.#idealMs / 3_600_000,
      moves: cache.steps.movesPlanned,
      movesFailed: cache.steps.movesFailed,
      bytesMoved: cache.steps.bytesMoved,
      turns: this.#turns,
      maxOverMean:
        this.#balance.sort((a, b) => a - b)[Math.floor(this.#balance.length * 0.95)] ?? 1,
      p50Ms: mean((point) => point.p50Ms),
      p99Ms: mean((point) => point.p99Ms),
      worstP99Ms: Math.max(0, ...this.#points.map((point) => point.p99Ms)),
      shardsLost: cache.shards.lost,
      steps: Object.fromEntries(cache.steps.counts),
      points: this.#points,
    };
  }

  /** Nodes that the load needs at the target utilisation, with fractions: nobody can do with fewer for long. */
  #ideal(rate: number): number {
    const { nodeEcpuByIoThreads: curve } = this.#calibration;
    const perShard = curve.at(-1)! * this.#params.targetUtilisation;
    const shards = Math.max(this.#scenario.limits.shardsMinimum, rate / perShard);
    return shards * (1 + this.#scenario.replicas);
  }

  #record(at: number, rate: number, cache: SimCache, proxies: SimProxies): void {
    const elapsed = Math.max(1, at - this.#slice.sinceMs) / 1000;
    const servers = cache.servers(rate, this.#scenario.startMs + at);
    this.#points.push({
      atMs: at,
      offered: this.#slice.offered / elapsed,
      served: this.#slice.served / elapsed,
      lost: this.#slice.lost / elapsed,
      shards: cache.shards.byNumber.size,
      nodes: cache.nodes,
      ideal: this.#ideal(rate),
      proxies: proxies.ready,
      balance: this.#balanceNow,
      p50Ms: this.#calibration.baseP50Ms + mixtureQuantile(servers, 0.5),
      p99Ms: this.#calibration.baseP99Ms + mixtureQuantile(servers, 0.99),
    });
    this.#slice = { offered: 0, served: 0, lost: 0, sinceMs: at };
  }
}
