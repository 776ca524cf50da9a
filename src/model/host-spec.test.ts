import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { readHosts } from './host-spec.ts';

const A = { id: 'a', zone: 'east', address: '10.9.0.1' };
const read = (hosts: unknown) => () => readHosts(JSON.stringify(hosts));

suite('readHosts', () => {
  test('takes what a host may say', () => {
    const b = { ...A, id: 'b', netns: 'st-b', cores: 2, memoryBytes: 1_000_000 };
    assert.deepEqual(read([A, b])(), [A, b]);
  });

  test('says where what is wrong', () => {
    assert.throws(() => readHosts('['), /^RangeError: it is no JSON/);
    assert.throws(read([]), /at least/);
    assert.throws(read([A, A]), /ids must differ/);
    assert.throws(read([{ ...A, address: 'here' }]), /^RangeError: 0\.address: must be an IP/);
    assert.throws(read([{ ...A, netns: '../x' }]), /0\.netns/);
    assert.throws(read([{ ...A, colour: 'red' }]), /colour/);
  });
});
