/**
 * The CLI's side of the daemon's local API (model/admin-api.ts): JSON and NDJSON over the unix socket of a data directory.
 * Every failure leaves as a CliError with the exit code that fits.
 */
import { request, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { messageOf } from '../lib/errors.ts';
import type { ApiFailure, Progress, SystemStatus } from '../model/admin-api.ts';
import { dataDirPaths } from '../model/data-dir.ts';
import { asSentence } from './sentence.ts';
import { CliError } from './cli-error.ts';
import { cliErrorCodeOf } from './exit-code-of.ts';

/** Answers that are not streams come at once; this only bounds a daemon that hangs. */
const ANSWER_TIMEOUT_MS = 15_000;
/** sockaddr_un.sun_path on Linux, with its final zero. */
const SOCKET_PATH_MAXIMUM = 107;

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface CallOptions {
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

export class ApiClient {
  readonly dataDir: string;
  readonly #socketPath: string;
  readonly #startHint: string;

  /** @param startHint the command that starts a daemon here, for the message when there is none */
  constructor(dataDir: string, startHint: string) {
    this.dataDir = dataDir;
    this.#socketPath = dataDirPaths(dataDir).apiSocket;
    this.#startHint = startHint;
    if (Buffer.byteLength(this.#socketPath) > SOCKET_PATH_MAXIMUM)
      throw new CliError(
        'USAGE',
        `The data directory's path is too long for a unix socket: ${dataDir}`,
        {
          hint: 'Choose a shorter one with --data-dir.',
        },
      );
  }

  /** One JSON answer; undefined for 204. */
  async call<Answer>(method: Method, path: string, options: CallOptions = {}): Promise<Answer> {
    const response = await this.#send(method, path, options, ANSWER_TIMEOUT_MS);
    const text = await readText(response);
    return (text === '' ? undefined : parseJson(text)) as Answer;
  }

  /** The daemon's status, or null when none runs here. Other failures are thrown. */
  async statusOrNull(): Promise<SystemStatus | null> {
    try {
      return await this.call<SystemStatus>('GET', '/v1/status');
    } catch (error) {
      if (error instanceof CliError && error.code === 'NOT_RUNNING') return null;
      throw error;
    }
  }

  /**
   * A long operation: its progress lines, ending with `done`. A `failed` line is thrown, and so is an answer that ends
   * without saying how it went: the daemon died, and what was begun may or may not be finished.
   */
  async *stream(method: Method, path: string, options: CallOptions = {}): AsyncGenerator<Progress> {
    const response = await this.#send(method, path, options, 0);
    try {
      for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
        if (line.trim() === '') continue;
        const progress = parseJson(line) as Progress;
        if (progress.type === 'failed') throw errorOfFailure(progress.error);
        yield progress;
        if (progress.type === 'done') return;
      }
    } catch (error) {
      if (error instanceof CliError || options.signal?.aborted) throw error;
      throw this.#lost(error);
    } finally {
      response.destroy();
    }
    throw this.#lost(undefined);
  }

  #lost(cause: unknown): CliError {
    return new CliError('FAILED', 'The daemon went away before it said how this ended.', {
      hint: `Look at what is there now, then repeat it if needed: ${this.#startHint.replace(/ up\b.*/, ' status')}`,
      cause,
    });
  }

  #send(
    method: Method,
    path: string,
    options: CallOptions,
    timeoutMs: number,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const body = options.body === undefined ? undefined : JSON.stringify(options.body);
      const outgoing = request({
        socketPath: this.#socketPath,
        method,
        path,
        agent: false,
        headers:
          body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        ...(options.signal ? { signal: options.signal } : {}),
        ...(timeoutMs > 0 ? { timeout: timeoutMs } : {}),
      });
      outgoing.on('error', (error: NodeJS.ErrnoException) =>
        reject(this.#connectionError(error, method)),
      );
      outgoing.on('timeout', () =>
        outgoing.destroy(
          new CliError('FAILED', `The daemon did not answer within ${timeoutMs / 1000} s.`, {
            hint: 'Its log may say why: springtide logs daemon',
          }),
        ),
      );
      outgoing.on('response', (response) => {
        if ((response.statusCode ?? 500) < 400) resolve(response);
        else
          readText(response).then(
            (text) => reject(errorOfAnswer(response.statusCode ?? 500, text)),
            reject,
          );
      });
      outgoing.end(body);
    });
  }

  #connectionError(error: NodeJS.ErrnoException, method: Method): Error {
    if (error instanceof CliError || error.name === 'AbortError') return error;
    if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED' || error.code === 'ENOTDIR')
      return new CliError('NOT_RUNNING', `No Springtide daemon runs on ${this.dataDir}.`, {
        hint: `Start one: ${this.#startHint}`,
        cause: error,
      });
    if (error.code === 'EACCES' || error.code === 'EPERM')
      return new CliError(
        'DISK',
        `You may not open ${this.#socketPath}: the daemon belongs to another user.`,
        {
          hint: 'Run this as the user who started Springtide.',
          cause: error,
        },
      );
    if (method !== 'GET') return this.#lost(error);
    return new CliError('FAILED', `The daemon's answer was cut short (${messageOf(error)}).`, {
      cause: error,
    });
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const chunk of response) text += chunk;
  return text;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CliError(
      'FAILED',
      'The daemon sent something that is not JSON; is it of another version?',
      { cause: error },
    );
  }
}

function errorOfAnswer(status: number, text: string): CliError {
  try {
    const failure = JSON.parse(text) as Partial<ApiFailure>;
    if (typeof failure.code === 'string' && typeof failure.message === 'string')
      return errorOfFailure({ code: failure.code, message: failure.message }, status);
  } catch {
    // Not the API's own words: fall through to the bare status.
  }
  return new CliError('FAILED', `The daemon answered with HTTP ${status}.`, {
    hint: text.slice(0, 200),
  });
}

/** The CLI's error for one of the API's. Decides on the code; the HTTP status only where the code says nothing. */
export function errorOfFailure(failure: ApiFailure, status = 0): CliError {
  return new CliError(cliErrorCodeOf(failure.code, status), asSentence(failure.message), {
    cause: failure,
  });
}
