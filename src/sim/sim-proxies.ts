/**
 * The fleet of proxies before a simulated cache, scaled as shards are: an assumption, for a real fleet has as many as it was
 * started with. They have machines of their own.
 */
import { planProxies, type ProxiesParams } from './plan-proxies.ts';
import type { Calibration } from './calibration.ts';

const QUIET_SECONDS = 300;

export class SimProxies {
  readonly #calibration: Calibration;
  readonly #params: ProxiesParams;
  ready: number;
  #starting: { readonly count: number; readonly readyAtMs: number }[] = [];
  #backlog = 0;
  #rate = 0;
  #utilisation = 0;
  #peaks: number[] = [];
  peak: number;

  constructor(calibration: Calibration, firstRate: number) {
    this.#calibration = calibration;
    this.#params = {
      requestsPerProxy: calibration.proxyRequestsPerSecond,
      targetUtilisation: 0.6,
      inUtilisation: 0.5,
      saturatedUtilisation: 0.95,
      minimum: 2,
      maximum: 1000,
    };
    this.ready = Math.max(
      2,
      Math.ceil(firstRate / (calibration.proxyRequestsPerSecond * this.#params.targetUtilisation)),
    );
    this.peak = this.ready;
  }

  /** Requests per second that get through, and requests that were lost. */
  advance(nowMs: number, tickMs: number, rate: number): { rate: number; lost: number } {
    const seconds = tickMs / 1000;
    for (const one of this.#starting.filter(({ readyAtMs }) => readyAtMs <= nowMs))
      this.ready += one.count;
    this.#starting = this.#starting.filter(({ readyAtMs }) => readyAtMs > nowMs);
    const capacity = this.ready * this.#calibration.proxyRequestsPerSecond;
    const through = Math.min(capacity, rate + this.#backlog / seconds);
    this.#backlog += (rate - through) * seconds;
    const lost = Math.max(0, this.#backlog - (capacity * this.#calibration.patienceMs) / 1000);
    this.#backlog -= lost;
    this.#utilisation = through / capacity;
    this.#rate = through;
    return { rate: through, lost };
  }

  /** Each second. `growth`: demand expected over demand now. */
  plan(nowMs: number, growth: number, minimumPerSecond: number): void {
    this.#peaks = [...this.#peaks, this.#rate].slice(-QUIET_SECONDS);
    const starting = this.#starting.reduce((sum, one) => sum + one.count, 0);
    const { proxies } = planProxies(
      {
        proxies: this.ready,
        starting,
        requestsPerSecond: this.#rate,
        aheadPerSecond: this.#rate * growth,
        minimumPerSecond,
        quietPeakPerSecond: this.#peaks.length < QUIET_SECONDS ? null : Math.max(...this.#peaks),
        utilisation: this.#utilisation,
      },
      this.#params,
    );
    const more = proxies - this.ready - starting;
    if (more > 0)
      this.#starting.push({ count: more, readyAtMs: nowMs + this.#calibration.proxyStartMs });
    // Draining one is telling its clients to go elsewhere: nothing is moved.
    if (more < 0) this.ready += more;
    this.peak = Math.max(this.peak, this.ready);
  }
}
