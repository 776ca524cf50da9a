import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import {
  findProcesses,
  isAlive,
  ownsListener,
  parseListeners,
  parseProcessStat,
  readCommandLine,
  readProcess,
  signalProcess,
} from './process-identity.ts';

const TAIL = '0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200';

test('a process name may hold parentheses, spaces, digits and newlines', () => {
  for (const name of ['valkey-server', 'a b', ') S 1 2 3', '((', 'x) R 1 (y', 'new\nline', '']) {
    assert.deepEqual(parseProcessStat(`4711 (${name}) S 17 4711 4711 ${TAIL}\n`), {
      pid: 4711,
      name,
      state: 'S',
      parentPid: 17,
      startTicks: 987654,
    });
  }
  for (const text of ['', '4711', '4711 (x', '4711 (x) S', 'x (y) S 1 2 3']) {
    assert.equal(parseProcessStat(text), undefined, text);
  }
});

test('this process is alive under its own start time and under no other', () => {
  const self = readProcess(process.pid);
  assert.ok(self);
  assert.equal(self.parentPid, process.ppid);
  assert.ok(isAlive(self));
  const recycled = { pid: self.pid, startTicks: self.startTicks - 1 };
  assert.ok(!isAlive(recycled));
  // Would end the test run if it were sent.
  assert.equal(signalProcess(recycled, 'SIGKILL'), false);
  assert.deepEqual(readCommandLine(process.pid)[0], process.argv0);
});

test('a zombie counts as dead, and so does a process that was reaped', async () => {
  // The shell is stopped from reaping its child: sleep ends, the shell never waits for it.
  const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const zombie = Number(line.toString());
    while (readProcess(zombie) !== undefined) await new Promise((next) => setTimeout(next, 5));
    assert.deepEqual(readCommandLine(zombie), []);
    assert.doesNotThrow(() => process.kill(zombie, 0), 'the pid is still taken');
  } finally {
    const identity = readProcess(parent.pid!);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    assert.ok(identity);
    assert.ok(!isAlive(identity));
    assert.equal(signalProcess(identity, 'SIGTERM'), false);
  }
});

test('processes are found by an argument, without children that share their command line', async () => {
  const mark = `mark-${process.pid}-${process.hrtime.bigint()}`;
  const parent = spawn(
    'sh',
    ['-c', '(while :; do sleep 0.05; done) & echo ready; read line; kill $!', mark],
    {
      stdio: ['pipe', 'pipe', 'ignore'],
    },
  );
  try {
    await once(parent.stdout, 'data');
    assert.deepEqual(
      findProcesses(mark).map((found) => found.pid),
      [parent.pid],
    );
    assert.deepEqual(findProcesses(`${mark}-other`), []);
  } finally {
    parent.stdin.end();
    await once(parent, 'exit');
  }
});

test('the owner of a listening port is told from a bystander', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  assert.ok(ownsListener(process.pid, port));
  assert.ok(!ownsListener(process.ppid, port));
  server.close();
  await once(server, 'close');
  assert.ok(!ownsListener(process.pid, port));
});

test('listeners are read from the socket table', () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:5208 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1111 1 0 100 0 0 10 0
   1: 0100007F:5208 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2222 1 0 20 4 30 10 -1
   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3333 1 0 100 0 0 10 0
`;
  assert.deepEqual(parseListeners(table, 21_000), ['1111']);
  assert.deepEqual(parseListeners(table, 80), ['3333']);
  assert.deepEqual(parseListeners('', 80), []);
});
