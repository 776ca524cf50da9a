/**
 * How many clients a process has room for: its limit of open files, less what it needs itself (connections to nodes, for
 * blocked commands above all, control, certificates). `Infinity` where the system sets none.
 */
export function clientDescriptors(): number {
  const limit = openFilesMaximum();
  return Math.max(1, Math.floor(limit - Math.max(RESERVED_MINIMUM, limit * RESERVED_SHARE)));
}

const RESERVED_MINIMUM = 48;
const RESERVED_SHARE = 1 / 8;

/** The soft limit, which the runtime has raised to the hard one. */
function openFilesMaximum(): number {
  const report = process.report.getReport() as {
    userLimits?: { open_files?: { soft: unknown } };
  };
  const soft = report.userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Infinity;
}
