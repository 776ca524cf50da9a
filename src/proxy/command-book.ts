/** The engine's command table with this cache's plan for each command, looked up together on the hot path. */
import { CommandTable, type Command, type RequestArguments } from '../protocol/command-table.ts';
import type { RespValue } from '../protocol/resp-value.ts';
import { COMMAND_GROUPS, type CommandGroup } from '../model/usage.ts';
import { planCommand, type PlanKind } from './command-plan.ts';
import { meteringOf, type Metering } from './ecpu-metering.ts';
import {
  hasResp2Twin,
  mayBeKept,
  readsHash,
  seesNoKeys,
  staysInSlot,
} from './near-cache/near-commands.ts';

export class PlannedCommand {
  readonly command: Command;
  readonly kind: PlanKind;
  readonly group: CommandGroup;
  /** Index into COMMAND_GROUPS. */
  readonly groupIndex: number;
  readonly repeatable: boolean;
  readonly metering: Metering;
  /** ECPU of one request at least; 0: it is not metered. Of `measured` ones it follows what the nodes measure. */
  weight: number;
  /** See near-commands.ts: of these, what a near cache goes by. */
  readonly keepable: boolean;
  readonly staysInSlot: boolean;
  readonly readsHash: boolean;
  readonly hasResp2Twin: boolean;
  readonly seesNoKeys: boolean;

  constructor(command: Command, sharding: boolean) {
    const plan = planCommand(command, sharding);
    this.command = command;
    this.kind = plan.kind;
    this.group = plan.group;
    this.groupIndex = COMMAND_GROUPS.indexOf(plan.group);
    this.repeatable = plan.repeatable;
    this.metering = meteringOf(command.name);
    this.weight = this.metering === 'none' ? 0 : 1;
    this.keepable = mayBeKept(command);
    this.staysInSlot = staysInSlot(command, sharding);
    this.readsHash = readsHash(command);
    this.hasResp2Twin = hasResp2Twin(command);
    this.seesNoKeys = seesNoKeys(command);
  }
}

export class CommandBook {
  readonly table: CommandTable;
  readonly #plans = new Map<Command, PlannedCommand>();

  constructor(reply: RespValue, sharding: boolean) {
    this.table = new CommandTable(reply);
    for (const command of this.table.commands) {
      this.#plans.set(command, new PlannedCommand(command, sharding));
      for (const sub of command.subcommands?.values() ?? [])
        this.#plans.set(sub, new PlannedCommand(sub, sharding));
    }
  }

  lookup(buf: Uint8Array, args: RequestArguments): PlannedCommand | null {
    const command = this.table.lookup(buf, args);
    return command === null ? null : this.#plans.get(command)!;
  }

  plans(): Iterable<PlannedCommand> {
    return this.#plans.values();
  }

  planOf(command: Command): PlannedCommand {
    return this.#plans.get(command)!;
  }
}
