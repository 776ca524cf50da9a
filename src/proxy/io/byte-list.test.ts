import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from 'fast-check';
import { ByteList } from './byte-list.ts';

it('ByteList gives back what was put into it, in order, whatever becomes of the source', () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 50 });
  fc.assert(
    fc.property(pieces, (list) => {
      const bytes = new ByteList();
      const expected = Buffer.concat(list);
      for (const piece of list) {
        // As in a read buffer: in the middle of it, and overwritten afterwards.
        const source = Buffer.concat([Buffer.from('before'), piece, Buffer.from('behind')]);
        bytes.append(source, 6, 6 + piece.length);
        source.fill(0);
      }
      assert.equal(bytes.sizeBytes, expected.length);
      assert.ok(Buffer.concat(bytes.parts()).equals(expected));
    }),
  );
});
