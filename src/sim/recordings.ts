/** The recordings that are kept in docs/benchmarks/recordings, by name, in the order of their names. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { recordingSchema, type Recording } from './recording.ts';

const FOLDER = new URL('../../docs/benchmarks/recordings/', import.meta.url);

export interface NamedRecording {
  readonly name: string;
  readonly recording: Recording;
}

/** Throws ZodError where a file is not what the schema says. */
export function readRecordings(): NamedRecording[] {
  if (!existsSync(FOLDER)) return [];
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .toSorted()
    .map((file) => ({
      name: file.slice(0, -'.json'.length),
      recording: readRecording(new URL(file, FOLDER)),
    }));
}

/** Throws ZodError where the file is not what the schema says. */
export function readRecording(file: string | URL): Recording {
  return recordingSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
}
