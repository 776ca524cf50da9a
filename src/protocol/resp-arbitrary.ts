/** Arbitrary RESP values for property tests: every type of RESP2 and RESP3, nested. */
import * as fc from 'fast-check';
import {
  NULL_ARRAY,
  RespDouble,
  RespError,
  RespMap,
  RespPush,
  RespSet,
  RespStatus,
  RespVerbatim,
  type RespValue,
} from './resp-value.ts';

const line = fc.stringMatching(/^[ -~]{0,20}$/);
const bytes = fc.uint8Array({ maxLength: 40 }).map((each) => Buffer.from(each));
const shared: fc.Arbitrary<RespValue>[] = [
  fc.constant(null),
  fc.maxSafeInteger(),
  fc.bigInt({ min: 2n ** 60n, max: 2n ** 63n - 1n }),
  bytes,
  bytes.map((each) => Buffer.concat([each, Buffer.from('\r\n$5\r\n')])),
  fc.uint8Array({ minLength: 100, maxLength: 300 }).map((each) => Buffer.from(each)),
  line.map((text) => new RespStatus(text)),
  line.map((text) => new RespError(`ERR ${text}`)),
];

/** Values that RESP2 can say. */
export const resp2Value: fc.Arbitrary<RespValue> = fc.letrec<{ value: RespValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    ...shared,
    fc.constant<RespValue>(NULL_ARRAY),
    fc.array(tie('value'), { maxLength: 5 }),
  ),
})).value;

/** Values that RESP3 can say. */
export const resp3Value: fc.Arbitrary<RespValue> = fc.letrec<{ value: RespValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    ...shared,
    fc.boolean(),
    fc.double().map((number) => new RespDouble(String(number))),
    line.map((text) => new RespVerbatim('txt', text)),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.array(tie('value'), { maxLength: 5 }).map((items) => new RespSet(items)),
    fc.array(tie('value'), { maxLength: 5 }).map((items) => new RespPush(items)),
    fc
      .array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 })
      .map((pairs) => new RespMap(pairs)),
  ),
})).value;
