/**
 * The tables of the control plane's state, as forward migrations: index i takes the database from version i to i + 1
 * (`PRAGMA user_version`). A migration that was released is never edited; a change is a new entry.
 *
 * caches 1-n shards, nodes, users, steps; events outlive their cache. `meta` holds the topology's version, `warm_nodes`
 * what belongs to no cache yet, `secrets` what all nodes of this data directory share, `scaling` what the planner remembers.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;

  CREATE TABLE caches (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    spec TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    created_at_ms INTEGER NOT NULL,
    port INTEGER NOT NULL,
    reader_port INTEGER NOT NULL,
    system_secret TEXT NOT NULL,
    virtual_primary_id TEXT NOT NULL,
    virtual_reader_id TEXT NOT NULL,
    engine_full_version TEXT,
    formed INTEGER NOT NULL DEFAULT 0,
    acl_version INTEGER NOT NULL DEFAULT 1
  ) STRICT;

  CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    cache_id TEXT NOT NULL REFERENCES caches(id) ON DELETE CASCADE,
    shard INTEGER NOT NULL,
    role TEXT NOT NULL,
    port INTEGER NOT NULL UNIQUE,
    bus_port INTEGER NOT NULL UNIQUE,
    cluster_node_id TEXT,
    identity TEXT NOT NULL,
    restarts INTEGER NOT NULL DEFAULT 0,
    acl_version INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX nodes_by_cache ON nodes (cache_id, shard);

  CREATE TABLE users (
    cache_id TEXT NOT NULL REFERENCES caches(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    nopass INTEGER NOT NULL,
    password_hashes TEXT NOT NULL,
    rules TEXT NOT NULL,
    upstream_secret TEXT NOT NULL,
    PRIMARY KEY (cache_id, name)
  ) STRICT;

  CREATE TABLE proxies (idx INTEGER PRIMARY KEY, restarts INTEGER NOT NULL DEFAULT 0) STRICT;

  CREATE TABLE steps (
    id INTEGER PRIMARY KEY,
    cache_id TEXT NOT NULL REFERENCES caches(id) ON DELETE CASCADE,
    lane TEXT NOT NULL,
    step TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    error TEXT,
    started_at_ms INTEGER NOT NULL,
    finished_at_ms INTEGER
  ) STRICT;
  CREATE INDEX steps_open ON steps (cache_id, lane) WHERE state = 'running';

  CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    cache TEXT,
    kind TEXT NOT NULL,
    message TEXT NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE functions (
    cache_id TEXT PRIMARY KEY REFERENCES caches(id) ON DELETE CASCADE,
    dump BLOB NOT NULL
  ) STRICT;
  `,
  'ALTER TABLE nodes ADD COLUMN stopped INTEGER NOT NULL DEFAULT 0',
  `
  ALTER TABLE nodes ADD COLUMN host_id TEXT NOT NULL DEFAULT 'local';
  ALTER TABLE nodes ADD COLUMN engine_line TEXT NOT NULL DEFAULT '';
  ALTER TABLE nodes ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE nodes ADD COLUMN asked_as TEXT;
  ALTER TABLE steps ADD COLUMN rejected TEXT NOT NULL DEFAULT '[]';
  UPDATE nodes SET engine_line =
    (SELECT json_extract(spec, '$.engineVersion') FROM caches WHERE caches.id = nodes.cache_id);

  CREATE TABLE shards (
    cache_id TEXT NOT NULL REFERENCES caches(id) ON DELETE CASCADE,
    shard INTEGER NOT NULL,
    state TEXT NOT NULL,
    slots TEXT NOT NULL,
    replicas INTEGER NOT NULL,
    io_threads INTEGER NOT NULL,
    maxmemory_bytes INTEGER NOT NULL,
    PRIMARY KEY (cache_id, shard)
  ) STRICT;
  INSERT INTO shards
    SELECT DISTINCT caches.id, nodes.shard, 'serving',
      CASE WHEN json_extract(spec, '$.sharding') THEN
        (nodes.shard * 16384 / json_extract(spec, '$.shards')) || '-' ||
        ((nodes.shard + 1) * 16384 / json_extract(spec, '$.shards') - 1)
      ELSE '' END,
      json_extract(spec, '$.replicas'), 1,
      coalesce(json_extract(spec, '$.limits.memoryMaximumBytes'), 0) / json_extract(spec, '$.shards')
    FROM caches JOIN nodes ON nodes.cache_id = caches.id;

  CREATE TABLE warm_nodes (
    id TEXT PRIMARY KEY,
    host_id TEXT NOT NULL,
    engine_line TEXT NOT NULL,
    databases INTEGER NOT NULL,
    port INTEGER NOT NULL UNIQUE,
    bus_port INTEGER NOT NULL UNIQUE
  ) STRICT;
  CREATE TABLE secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE scaling (
    cache_id TEXT PRIMARY KEY REFERENCES caches(id) ON DELETE CASCADE,
    state TEXT NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE replacements (
    cache_id TEXT PRIMARY KEY REFERENCES caches(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    from_line TEXT NOT NULL,
    to_line TEXT NOT NULL,
    node_ids TEXT NOT NULL,
    parallel_shards INTEGER NOT NULL,
    surge_nodes INTEGER NOT NULL,
    failure TEXT,
    started_at_ms INTEGER NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE host_drains (
    host_id TEXT PRIMARY KEY,
    dead INTEGER NOT NULL,
    nodes INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL,
    drained_at_ms INTEGER
  ) STRICT;
  `,
];
