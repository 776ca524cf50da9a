/** What others publish, to compare with; each with where it was said. */
export interface PublishedFigure {
  readonly what: string;
  readonly value: string;
  readonly source: string;
}

const BLOG =
  'https://aws.amazon.com/blogs/database/amazon-elasticache-version-8-0-for-valkey-brings-faster-scaling-and-improved-memory-efficiency';
const SCALING = 'https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Scaling.html';

export const AWS = {
  doubling: {
    what: 'requests/s double every',
    value: '2 to 3 min',
    source: BLOG,
  },
  toFiveMillion: {
    what: '0 to 5M requests/s',
    value: '12 to 15 min (under 13 min in the post)',
    source: `${BLOG}; re:Invent talk DAT437 (2025)`,
  },
  preScale: { what: 'a raised minimum is in force', value: 'within 60 min', source: SCALING },
} as const satisfies Record<string, PublishedFigure>;
