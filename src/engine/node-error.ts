import { SpringtideError } from '../lib/errors.ts';

/** What can go wrong with starting, stopping and talking to a node. */
export type NodeErrorCode =
  | 'NODE_PORT_IN_USE'
  | 'NODE_ALREADY_RUNNING'
  | 'NODE_DIRECTORY_UNUSABLE'
  | 'NODE_START_FAILED'
  | 'NODE_START_TIMEOUT'
  | 'NODE_STOP_FAILED'
  | 'NODE_ABORTED'
  | 'NODE_UNKNOWN'
  | 'NODE_IN_USE'
  | 'NODE_LEAVING'
  | 'NODE_NOT_PRIMARY'
  | 'NODE_MISSES_WRITES'
  | 'NODE_UNREACHABLE'
  | 'NODE_TIMEOUT'
  | 'NODE_CONNECTION_CLOSED'
  | 'NODE_REPLIED_ERROR'
  /** Nothing of that machine answers: what runs there is not known, and cannot be changed. */
  | 'HOST_UNREACHABLE'
  | 'HOST_UNKNOWN';

/** Raised by everything that handles a node. */
export class NodeError extends SpringtideError<NodeErrorCode> {}
