/**
 * What the simulator takes for true about nodes, proxies and moves: one file (`calibration.json`), each figure with its
 * origin, so that the report can say what was measured and what is assumed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';

const FILE = new URL('calibration.json', import.meta.url);

const figure = z.strictObject({ value: z.number().min(0), unit: z.string(), origin: z.string() });

const calibrationSchema = z.strictObject({
  nodeEcpuByIoThreads: z.strictObject({
    value: z.array(z.number().positive()).min(1),
    unit: z.string(),
    origin: z.string(),
  }),
  serviceVariation: figure,
  baseP50Ms: figure,
  baseP99Ms: figure,
  proxyRequestsPerSecond: figure,
  proxyStartMs: figure,
  ioThreadsMs: figure,
  joinMs: figure,
  replicaJoinMs: figure,
  coldStartMs: figure,
  moveFixedMs: figure,
  moveBytesPerSecond: figure,
  moveUsPerKey: figure,
  bytesPerKey: figure,
  forkTax: figure,
  failoverMs: figure,
  patienceMs: figure,
  holdMs: figure,
  utilisationNoise: figure,
});
export type CalibrationFile = z.infer<typeof calibrationSchema>;

/** The figures alone. */
export type Calibration = {
  readonly [Name in keyof CalibrationFile]: CalibrationFile[Name]['value'];
};

/** Throws ZodError where the file is not what the schema says. */
export function readCalibrationFile(): CalibrationFile {
  const text = readFileSync(FILE, 'utf8');
  return calibrationSchema.parse(JSON.parse(text));
}

export function figuresOf(file: CalibrationFile): Calibration {
  return Object.fromEntries(
    Object.entries(file).map(([name, { value }]) => [name, value]),
  ) as Calibration;
}

export function writeCalibrationFile(file: CalibrationFile): void {
  writeFileSync(FILE, `${JSON.stringify(calibrationSchema.parse(file), null, 2)}\n`);
}
