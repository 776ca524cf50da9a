import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { cacheSpecSchema } from '../model/cache-spec.ts';
import { changedSpec, changeWords } from './changed-spec.ts';

const spec = cacheSpecSchema.parse({
  name: 'main',
  limits: { memoryMaximumBytes: 1024 ** 3, ecpuPerSecondMaximum: 5000 },
});

suite('changedSpec', () => {
  test('changes what is named and nothing else', () => {
    assert.deepEqual(changedSpec(spec, { shards: 5, limits: { ecpuPerSecondMinimum: 1000 } }), {
      ...spec,
      shards: 5,
      limits: { ...spec.limits, ecpuPerSecondMinimum: 1000 },
    });
  });

  test('a change is put into words; where nothing is other there are none', () => {
    const now = changedSpec(spec, { nearCache: true, limits: { ecpuPerSecondMaximum: 0 } });
    assert.equal(
      changeWords(spec, now),
      'nearCache false to true, limits.ecpuPerSecondMaximum 5000 to 0',
    );
    assert.equal(changeWords(now, changedSpec(now, { nearCache: true })), '');
  });

  test('what a running cache cannot change is named, and so is what there is not', () => {
    const refused = (input: unknown, message: RegExp) =>
      assert.throws(() => changedSpec(spec, input), { code: 'InvalidParameterValue', message });
    refused({ port: 1 }, /^port cannot be changed while a cache runs; shards, /);
    refused({ colour: 1 }, /^there is no colour/);
    refused({ limits: { colour: 1 } }, /^there is no limits\.colour/);
    refused({ shards: 0 }, /^shards: /);
    refused([], /^there is no such thing/);
  });

  test('the rules of a specification hold for the whole of it', () => {
    const refused = (input: unknown) =>
      assert.throws(() => changedSpec(spec, input), { code: 'InvalidParameterCombination' });
    refused({});
    refused({ shardsMaximum: 2 });
    refused({ limits: { ecpuPerSecondMinimum: 6000 } });
  });
});
