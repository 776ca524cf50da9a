/**
 * Where this machine gets Debian from: read from its own apt sources, so that a configured mirror is used, in both of
 * apt's formats (sources.list(5): one-line `.list` and deb822 `.sources`).
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly signedBy?: string;
}

export interface DebianMirror {
  /** Base URI of the archive, without a trailing slash. */
  readonly uri: string;
  /** Base URI of the security archive, where the machine has one. */
  readonly securityUri?: string;
}

/** Reads one-line sources: `deb [signed-by=FILE] URI SUITE COMPONENT...`. Lines it cannot read are left out, as apt's are. */
export function parseListSources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/.exec(line.replace(/#.*/, ''));
    if (match === null) continue;
    const signedBy = /(?:^|\s)signed-by=(\S+)/.exec(match[1] ?? '')?.[1];
    sources.push(source(match[2]!, [match[3]!], signedBy));
  }
  return sources;
}

/** Reads deb822 sources: stanzas of fields, continued by indented lines; `Enabled: no` switches a stanza off. */
export function parseDeb822Sources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  const lines = text.split('\n').filter((line) => !line.startsWith('#'));
  for (const stanza of lines.join('\n').split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    for (const match of stanza.matchAll(/^([A-Za-z-]+):([^\n]*(?:\n[ \t][^\n]*)*)/gm)) {
      fields.set(match[1]!.toLowerCase(), match[2]!.trim());
    }
    const words = (name: string) => (fields.get(name) ?? '').split(/\s+/).filter((word) => word);
    if (!words('types').includes('deb')) continue;
    if (/^(no|false|without|off|disable)$/i.test(fields.get('enabled') ?? 'yes')) continue;
    // An embedded key block has no path; only a path can be reused.
    const signedBy = words('signed-by').find((word) => word.startsWith('/'));
    for (const uri of words('uris')) sources.push(source(uri, words('suites'), signedBy));
  }
  return sources;
}

/**
 * Picks the Debian archive among sources. A source is Debian's when it carries a suite that only Debian names so and its
 * path is an archive's (`/debian`), which tells it from third parties that reuse Debian's suite names. Null when there is none
 * (another distribution with apt).
 */
export function pickDebianMirror(sources: readonly AptSource[]): DebianMirror | null {
  const debianSuite = /^(bullseye|bookworm|trixie|forky|sid|stable|testing|unstable|oldstable)\b/;
  const ours = sources.filter((candidate) =>
    candidate.suites.some((suite) => debianSuite.test(suite)),
  );
  const main = ours.find((candidate) => candidate.uri.endsWith('/debian'));
  const security = ours.find((candidate) => candidate.uri.endsWith('/debian-security'));
  if (main === undefined) return null;
  return {
    uri: main.uri,
    ...(security === undefined ? {} : { securityUri: security.uri }),
  };
}

/**
 * The sources of this machine.
 *
 * @param aptDir apt's configuration directory; one that does not exist gives none
 */
export async function readAptSources(aptDir = '/etc/apt'): Promise<AptSource[]> {
  const partsDir = join(aptDir, 'sources.list.d');
  const parts = await readdir(partsDir).catch(() => []);
  const files = [join(aptDir, 'sources.list'), ...parts.sort().map((name) => join(partsDir, name))];
  const sources: AptSource[] = [];
  for (const file of files) {
    // An unreadable file (root's, with a password in it) is no reason to fail: another may name the archive.
    const text = await readFile(file, 'utf8').catch(() => '');
    if (file.endsWith('.list')) sources.push(...parseListSources(text));
    else if (file.endsWith('.sources')) sources.push(...parseDeb822Sources(text));
  }
  return sources;
}

function source(uri: string, suites: readonly string[], signedBy: string | undefined): AptSource {
  const trimmed = uri.replace(/\/+$/, '');
  return signedBy === undefined ? { uri: trimmed, suites } : { uri: trimmed, suites, signedBy };
}
