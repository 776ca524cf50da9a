import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytesToHuman, mergeInfo, parseInfo, renderInfo } from './info-merge.ts';

const A = [
  '# Server\r\nredis_version:7.2.4\r\n',
  '# Memory\r\nused_memory:1000\r\nused_memory_human:1000B\r\nused_memory_rss:3000\r\nused_memory_peak:2000\r\nused_memory_peak_perc:50.00%\r\nmem_fragmentation_ratio:3.00\r\ntotal_system_memory:9000\r\nmaxmemory_policy:volatile-lru\r\n',
  '# Persistence\r\nloading:0\r\nrdb_changes_since_last_save:3\r\nrdb_last_save_time:100\r\nrdb_last_bgsave_status:ok\r\n',
  '# Stats\r\ntotal_commands_processed:10\r\ninstantaneous_input_kbps:1.25\r\nlatest_fork_usec:5\r\n',
  '# Modules\r\nmodule:name=lua,ver=1\r\nmodule:name=json,ver=2\r\n',
  '# Commandstats\r\ncmdstat_get:calls=2,usec=10,usec_per_call=5.00,rejected_calls=0,failed_calls=1\r\n',
  '# Errorstats\r\nerrorstat_ERR:count=2\r\n',
  '# Latencystats\r\nlatency_percentiles_usec_get:p50=1.003,p99=9.023\r\n',
  '# Keyspace\r\ndb10:keys=1,expires=0,avg_ttl=0\r\ndb0:keys=3,expires=1,avg_ttl=1000\r\n',
].join('\r\n');
const B = [
  '# Server\r\nredis_version:7.2.4\r\n',
  '# Memory\r\nused_memory:3000\r\nused_memory_human:2.93K\r\nused_memory_rss:5000\r\nused_memory_peak:3000\r\nused_memory_peak_perc:100.00%\r\nmem_fragmentation_ratio:1.67\r\ntotal_system_memory:9000\r\nmaxmemory_policy:volatile-lru\r\n',
  '# Persistence\r\nloading:1\r\nrdb_changes_since_last_save:4\r\nrdb_last_save_time:90\r\nrdb_last_bgsave_status:err\r\n',
  '# Stats\r\ntotal_commands_processed:5\r\ninstantaneous_input_kbps:0.50\r\nlatest_fork_usec:9\r\n',
  '# Modules\r\nmodule:name=lua,ver=1\r\nmodule:name=json,ver=2\r\n',
  '# Commandstats\r\ncmdstat_get:calls=2,usec=30,usec_per_call=15.00,rejected_calls=1,failed_calls=0\r\ncmdstat_set:calls=1,usec=7,usec_per_call=7.00,rejected_calls=0,failed_calls=0\r\n',
  '# Errorstats\r\nerrorstat_ERR:count=1\r\nerrorstat_WRONGTYPE:count=4\r\n',
  '# Latencystats\r\nlatency_percentiles_usec_get:p50=2.007,p99=3.007\r\n',
  '# Keyspace\r\ndb0:keys=5,expires=3,avg_ttl=2000\r\ndb2:keys=1,expires=0,avg_ttl=0\r\n',
].join('\r\n');

describe('INFO of several nodes as of one', () => {
  it('renders what it has parsed, unchanged', () => {
    for (const text of [A, B, '']) assert.equal(renderInfo(parseInfo(text)), text);
  });

  it('leaves the words of a single node alone', () => {
    assert.equal(
      renderInfo(
        mergeInfo([
          parseInfo(A.replace('db10', 'db0').replace('\r\ndb0:keys=3', '\r\ndb3:keys=3')),
        ]),
      ).includes('used_memory_human:1000B'),
      true,
    );
  });

  it('adds, recomputes and takes the worst', () => {
    const merged = mergeInfo([parseInfo(A), parseInfo(B)]);
    const section = (title: string) => Object.fromEntries(merged.get(title)!);
    assert.deepEqual(section('Memory'), {
      used_memory: '4000', used_memory_human: '3.91K', used_memory_rss: '8000', used_memory_peak: '5000',
      used_memory_peak_perc: '80.00%', mem_fragmentation_ratio: '2.00', total_system_memory: '9000', maxmemory_policy: 'volatile-lru',
    }); // prettier-ignore
    assert.deepEqual(section('Persistence'), {
      loading: '1', rdb_changes_since_last_save: '7', rdb_last_save_time: '100', rdb_last_bgsave_status: 'err',
    }); // prettier-ignore
    assert.deepEqual(section('Stats'), {
      total_commands_processed: '15',
      instantaneous_input_kbps: '1.75',
      latest_fork_usec: '9',
    });
    assert.deepEqual(section('Commandstats'), {
      cmdstat_get: 'calls=4,usec=40,usec_per_call=10.00,rejected_calls=1,failed_calls=1',
      cmdstat_set: 'calls=1,usec=7,usec_per_call=7.00,rejected_calls=0,failed_calls=0',
    });
    assert.deepEqual(section('Errorstats'), {
      errorstat_ERR: 'count=3',
      errorstat_WRONGTYPE: 'count=4',
    });
    assert.deepEqual(section('Latencystats'), {
      latency_percentiles_usec_get: 'p50=2.007,p99=9.023',
    });
    assert.deepEqual([...merged.get('Keyspace')!], [
      ['db0', 'keys=8,expires=4,avg_ttl=1750'], ['db2', 'keys=1,expires=0,avg_ttl=0'], ['db10', 'keys=1,expires=0,avg_ttl=0'],
    ]); // prettier-ignore
    assert.match(renderInfo(merged), /module:name=lua,ver=1\r\nmodule:name=json,ver=2\r\n/);
  });

  it('writes sizes as the engine does', () => {
    const sizes = [0, 1023, 1024, 1536, 5 * 1024 ** 2, 1024 ** 3, 3.5 * 1024 ** 4];
    assert.deepEqual(sizes.map(bytesToHuman), [
      '0B',
      '1023B',
      '1.00K',
      '1.50K',
      '5.00M',
      '1.00G',
      '3.50T',
    ]);
  });
});
