import {Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {procedureFlags} from '../../lib/cli/flags.ts'
import {isRun, type RunResult} from '../../lib/cli/run-procedure.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {CleanUpState, LeftDatabase} from '../../lib/procedures/clean-up/index.ts'
import type {LeftSchema} from '../../lib/procedures/clean-up/schemas.ts'
import type {Plan} from '../../lib/runbook/plan.ts'

export interface CleanUpResult {
  live: string
  databases: LeftDatabase[]
  schemas: LeftSchema[]
  dropped: string[]
  droppedSchemas: string[]
  failed: {database: string; why: string}[]
  failedSchemas: {schema: string; why: string}[]
  run: string
  journal: string
}

const OLDER_THAN = '7d'

export default class CleanUp extends BaseCommand {
  static override summary = 'List what swaps and partial restores have left, and drop what is old'
  static override description = 'Databases that swaps have kept, and schemas of partial restores in the live one: the rows as they were before, which dr undo needs, and staged rows. Only what bears dr’s own mark and name is ever dropped, never the live database, and none while that is missing or empty. Prints the names of those that were dropped.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --older-than 12h', '<%= config.bin %> <%= command.id %> --plan']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.unreachable, ExitCode.incomplete, ExitCode.declined, ExitCode.interrupted]
  static override hiddenAliases = ['restore:cleanup']
  static override flags = {
    'older-than': Flags.string({description: `only what is older; else ${OLDER_THAN}`, helpValue: 'TIME'}),
    force: Flags.boolean({description: 'also those that somebody is connected to'}),
    confirm: procedureFlags.confirm,
    yes: procedureFlags.yes,
    plan: procedureFlags.plan,
  }

  async run(): Promise<CleanUpResult | Plan> {
    const {flags} = await this.parse(CleanUp)
    const context = this.context(flags)
    const olderThan = flags['older-than'] ?? OLDER_THAN
    const {composeCleanUp} = await import('../../lib/cli/clean-up.ts')
    const {procedure, state} = await composeCleanUp(context, {olderThan, force: flags.force})
    const result = await this.runProcedure(procedure, state, flags, context)
    return isRun(result) ? this.report(result, olderThan) : result
  }

  private async report({state, run, journal}: RunResult<CleanUpState>, olderThan: string): Promise<CleanUpResult> {
    const {cleanUpReport} = await import('../../lib/cli/clean-up.ts')
    if (!this.jsonEnabled()) for (const line of await cleanUpReport(state, olderThan)) this.logToStderr('%s', line)
    for (const name of [...state.dropped, ...state.droppedSchemas]) this.log('%s', name)
    if (state.failed.length + state.failedSchemas.length > 0) process.exitCode = ExitCode.incomplete
    const {live, databases, schemas, dropped, droppedSchemas, failed, failedSchemas} = state
    return {live, databases, schemas, dropped, droppedSchemas, failed, failedSchemas, run, journal}
  }
}
