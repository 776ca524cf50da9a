import { InvalidArgumentError } from 'commander';

/** A whole number of 1 or more. */
export function count(value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1)
    throw new InvalidArgumentError(`"${value}" is not 1 or more`);
  return number;
}

/** Those of `count`, with commas between them. */
export function counts(value: string): number[] {
  return value.split(',').map(count);
}

/** A whole number of 0 or more. */
export function natural(value: string): number {
  return value === '0' ? 0 : count(value);
}

export function positive(value: string): number {
  const number = Number(value);
  if (!(number > 0)) throw new InvalidArgumentError(`"${value}" is not a number above 0`);
  return number;
}

/** Some of `names`, with commas between them. */
export function someOf<Name extends string>(names: readonly Name[]): (value: string) => Name[] {
  return (value) => {
    const chosen = value.split(',').map((name) => name.trim());
    const unknown = chosen.find((name) => !(names as readonly string[]).includes(name));
    if (unknown !== undefined)
      throw new InvalidArgumentError(`"${unknown}" is none of ${names.join(', ')}`);
    return chosen as Name[];
  };
}
