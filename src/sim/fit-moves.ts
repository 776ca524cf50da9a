/** How long a move of slots takes, as a constant, a time for each key and a time for each byte: least squares. Pure. */
export interface MeasuredMove {
  readonly keys: number;
  readonly bytes: number;
  readonly tookMs: number;
}

export interface MoveFit {
  readonly fixedMs: number;
  readonly usPerKey: number;
  readonly bytesPerSecond: number;
  /** Half of the moves are as near to the fit. */
  readonly medianErrorMs: number;
}

/** Null: too few, or all of one size. */
export function fitMoves(moves: readonly MeasuredMove[]): MoveFit | null {
  const rows = moves.map(({ keys, bytes }) => [1, keys / 1e3, bytes / 1e6]);
  const sides = [0, 1, 2];
  const matrix = sides.map((i) => [
    ...sides.map((j) => rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0)),
    rows.reduce((sum, row, index) => sum + row[i]! * moves[index]!.tookMs, 0),
  ]);
  const solved = solve(matrix);
  if (solved === null) return null;
  const [fixedMs = 0, msPerThousand = 0, msPerMb = 0] = solved;
  if (fixedMs <= 0 || msPerThousand <= 0 || msPerMb <= 0) return null;
  const errors = moves
    .map(({ tookMs }, index) =>
      Math.abs(tookMs - rows[index]!.reduce((sum, value, side) => sum + value * solved[side]!, 0)),
    )
    .toSorted((a, b) => a - b);
  return {
    fixedMs,
    usPerKey: msPerThousand,
    bytesPerSecond: 1e9 / msPerMb,
    medianErrorMs: errors[Math.floor(errors.length / 2)]!,
  };
}

/** Gauss and Jordan; null: singular. */
function solve(matrix: number[][]): number[] | null {
  for (let column = 0; column < matrix.length; column += 1) {
    const pivot = matrix
      .slice(column)
      .reduce((best, row) => (Math.abs(row[column]!) > Math.abs(best[column]!) ? row : best));
    if (Math.abs(pivot[column]!) < 1e-9) return null;
    const at = matrix.indexOf(pivot);
    [matrix[column], matrix[at]] = [matrix[at]!, matrix[column]!];
    for (const row of matrix) {
      if (row === pivot) continue;
      const factor = row[column]! / pivot[column]!;
      for (const [index, value] of pivot.entries()) row[index]! -= factor * value;
    }
  }
  return matrix.map((row, index) => row.at(-1)! / row[index]!);
}
